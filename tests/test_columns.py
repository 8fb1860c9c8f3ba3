from mocksed.columns import FLAG_DESCRIPTIONS, Flag


def test_a_flag_keeps_its_bit():
    """Catalogues that were made before are read by it."""
    assert {name: value for name, value in vars(Flag).items() if name.isupper()} == {
        "AGE_CLIPPED": 1, "NO_ALLOWED_NEIGHBOUR": 2, "ZMET_CLIPPED": 4, "UVJ_OUTSIDE": 8, "FAR": 16, "US_CLIPPED": 32,
        "SFR_NOT_MET": 64, "ZMET_NOT_MET": 128, "US_NOT_MET": 256, "MUV_NOT_MET": 512, "BETA_NOT_MET": 1024,
        "DUST_NOT_MET": 2048, "AGE_NOT_MET": 4096,
    }  # fmt: skip


def test_every_flag_is_described():
    assert list(FLAG_DESCRIPTIONS) == [2**bit for bit in range(13)]
    assert len(set(FLAG_DESCRIPTIONS.values())) == 13
