import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.stats import kstest

from mocksed.rng import Stage, raw, uniforms

_WORD = 2**64


def numpy_words(seed: int, stage: Stage, id_: int, n_draws: int, realisation: int) -> np.ndarray:
    """Return the same words from numpy, which adds one to the counter before it uses it."""
    # the counter (0, id, realisation, 0) less one, with borrow
    number = (realisation * _WORD**2 + (id_ % _WORD) * _WORD - 1) % 2**256
    counter = np.array([number >> 64 * i & (_WORD - 1) for i in range(4)], np.uint64)
    key = np.array([seed, int(stage)], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(n_draws)


@given(
    seed=st.integers(0, 2**64 - 1),
    stage=st.sampled_from(Stage),
    id_=st.integers(-(2**63), 2**63 - 1),
    n_draws=st.integers(1, 13),
    realisation=st.integers(0, 2**64 - 1),
)
def test_words_are_those_of_numpy(seed, stage, id_, n_draws, realisation):
    words = raw(seed, stage, np.array([id_]), n_draws, realisation=realisation)[0]
    assert_array_equal(words, numpy_words(seed, stage, id_, n_draws, realisation))


@given(first=st.integers(0, 50), n_draws=st.integers(1, 20))
def test_a_stream_goes_on_where_a_call_ended(first, n_draws):
    ids = np.array([3, 10**12])
    assert_array_equal(
        raw(1, Stage.QUIESCENT, ids, n_draws, first), raw(1, Stage.QUIESCENT, ids, 80)[:, first : first + n_draws]
    )


def test_neither_sharding_nor_order_matters():
    ids = np.random.default_rng(0).integers(0, 2**62, 1000)
    whole = uniforms(7, Stage.PROPOSAL, ids, 6)
    assert_array_equal(np.concatenate([uniforms(7, Stage.PROPOSAL, part, 6) for part in np.array_split(ids, 7)]), whole)
    assert_array_equal(uniforms(7, Stage.PROPOSAL, ids[::-1], 6)[::-1], whole)
    assert_array_equal(uniforms(7, Stage.PROPOSAL, ids[::3], 6), whole[::3])


def test_a_stage_keeps_its_number():
    """Another number would give other galaxies; a new stage takes one that was never used."""
    assert {name: stage.value for name, stage in Stage.__members__.items()} == {
        "LIGHTCONE": 1, "PARENT_STAR_FORMING": 2, "PARENT_QUIESCENT": 3, "PROPOSAL": 4, "QUIESCENT": 5, "CLASS": 6,
        "DIAGNOSTICS": 7, "SHARDS": 8, "ASSIGNMENT": 9, "GIVEN": 10, "MORPHOLOGY": 11, "SURVEY": 12, "LYMAN_ALPHA": 13,
    }  # fmt: skip


def test_seeds_stages_and_ids_have_streams_of_their_own():
    ids = np.arange(1000)
    streams = [uniforms(seed, stage, ids, 4) for seed in (0, 1) for stage in Stage]
    everything = np.concatenate([stream.ravel() for stream in streams])
    assert len(np.unique(everything)) == everything.size


def test_realisation_0_is_what_there_is_without():
    ids = np.arange(50)
    assert_array_equal(uniforms(7, Stage.QUIESCENT, ids, 9, 3), uniforms(7, Stage.QUIESCENT, ids, 9, 3, 0))


def test_rows_of_any_realisations_are_those_of_each_alone():
    ids, realisation = np.tile(np.arange(100), 3), np.repeat(np.array([0, 5, 2], np.int16), 100)
    mixed = uniforms(7, Stage.PROPOSAL, ids, 6, realisation=realisation)
    for index, rows in zip((0, 5, 2), np.split(mixed, 3), strict=True):
        assert_array_equal(rows, uniforms(7, Stage.PROPOSAL, np.arange(100), 6, realisation=index))
    order = np.random.default_rng(0).permutation(300)
    assert_array_equal(uniforms(7, Stage.PROPOSAL, ids[order], 6, realisation=realisation[order]), mixed[order])


def test_realisations_are_independent():
    ids = np.arange(50_000)
    first, second, tenth = (uniforms(3, Stage.PROPOSAL, ids, 1, realisation=index)[:, 0] for index in (0, 1, 10))
    assert len(np.unique([first, second, tenth])) == 150_000
    assert np.abs(np.corrcoef([first, second, tenth]) - np.eye(3)).max() < 0.02
    # of one galaxy through many realisations, and of its neighbour
    through, beside = (uniforms(3, Stage.PROPOSAL, np.full(50_000, i), 1, realisation=ids)[:, 0] for i in (4, 5))
    assert kstest(through, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(through[1:], through[:-1])[0, 1]) < 0.02
    assert abs(np.corrcoef(through, beside)[0, 1]) < 0.02


def test_a_realisation_below_0_is_an_error():
    with pytest.raises(OverflowError):
        uniforms(7, Stage.PROPOSAL, np.arange(3), 1, realisation=-1)


def test_deviates_are_uniform_and_uncorrelated():
    deviates = uniforms(3, Stage.PARENT_STAR_FORMING, np.arange(50_000), 4)
    assert kstest(deviates.ravel(), "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(deviates.T) - np.eye(4)).max() < 0.02
    assert abs(np.corrcoef(deviates[1:, 0], deviates[:-1, 0])[0, 1]) < 0.02


@pytest.mark.parametrize(
    "word",
    [
        0,
        _WORD - 1,
    ],
)
def test_the_interval_is_open(monkeypatch, word):
    monkeypatch.setattr("mocksed.rng.raw", lambda *args: np.array([[word]], np.uint64))
    assert 0.0 < uniforms(0, Stage.PROPOSAL, np.array([0]), 1)[0, 0] < 1.0


def test_no_ids_give_no_deviates():
    assert uniforms(0, Stage.PROPOSAL, np.array([], np.int64), 5).shape == (0, 5)
