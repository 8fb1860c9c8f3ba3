"""The engine that the config asks for."""

from collections.abc import Mapping

from mocksed.sps import table
from mocksed.sps.engine import Engine
from mocksed.sps.fsps import ReferenceEngine
from mocksed.sps.model import Model


def of(sps: Mapping[str, object]) -> Engine | ReferenceEngine:
    """Return the engine of the config's ``sps``: "table" over its SSP table, "fsps" through python-fsps."""
    if sps["engine"] == "fsps":
        return ReferenceEngine(int(str(sps["imf_type"])), Model.from_config(sps))
    return over_table(sps)


def over_table(sps: Mapping[str, object]) -> Engine:
    """Return the engine over the SSP table of the config's ``sps``, whichever engine it names."""
    return Engine(table.read(str(sps["table"])), Model.from_config(sps))
