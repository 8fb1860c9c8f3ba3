"""The configuration of a run: as `mocksed.config` loads it, with the numbers of shards that the cost model chooses."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mocksed import config
from mocksed.config.checks import Check
from mocksed.config.messages import message
from mocksed.errors import UserError
from mocksed.run import cost, laws
from mocksed.search import KINDS


def load(source: Mapping[str, Any] | Path, to_plan: bool = False, further: Iterable[Check] = ()) -> dict[str, Any]:
    """Return the complete configuration of a run, with every number of shards; arguments as for `mocksed.config.load`.

    Raises
    ------
    UserError
        As `mocksed.config.load`; also if a light cone is empty, or memory too little for any number of shards.

    """
    complete = config.load(source, to_plan, further)
    try:
        complete = cost.with_shards(complete)
        for kind in KINDS:
            laws.tree_shards(complete, kind)
    except UserError as error:
        raise UserError(message(source, [str(error)])) from None
    return complete
