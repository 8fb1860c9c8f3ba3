from dataclasses import replace
from pathlib import Path

import pytest

from mocksed.sps import table


@pytest.fixture(scope="session")
def own_ssp(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an SSP table of two metallicities and ages, which is read at once."""
    whole = table.read(root / "resources/ssp_padova_kurucz_chabrier.h5")
    two = slice(0, 2)
    small = replace(
        whole, log_age=whole.log_age[two], log_zmet=whole.log_zmet[two], stellar=whole.stellar[two, two],
        mass=whole.mass[two, two], dust_qpah=whole.dust_qpah[:1], dust_umin=whole.dust_umin[:1],
        dust_emission=whole.dust_emission[:1, :1], neb_log_us=whole.neb_log_us[:1], neb_log_age=whole.neb_log_age[:1],
        neb_continuum=whole.neb_continuum[:, :1, :1], neb_lines=whole.neb_lines[:, :1, :1],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("ssp") / "own.h5"
    table.write(path, small)
    return path
