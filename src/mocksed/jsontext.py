"""Standard JSON: other languages cannot read NaN and infinity as Python writes them."""

import json
import math
from collections.abc import Iterator
from typing import Any


def dumps(content: object, **layout: Any) -> str:
    """Return content as JSON; ``layout`` is that of `json.dumps`.

    Raises
    ------
    ValueError
        If a number is not finite. Where that means that there is none, `mocksed.files.storage.plain` makes it null
        first.

    """
    try:
        return json.dumps(content, allow_nan=False, **layout)
    except ValueError as error:
        where = next(_not_finite(content), str(error))
        raise ValueError(f"{where}: JSON has finite numbers only") from error


def shown(value: object, longest: int = 120) -> str:
    """Return a value as messages show it: as JSON, if it is one that JSON has, cut to a length that can be read."""
    text = json.dumps(value, default=str)
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."


def _not_finite(content: object, path: str = "") -> Iterator[str]:
    """Yield where numbers are not finite, and what they are."""
    if isinstance(content, float) and not math.isfinite(content):
        yield f"{path.removeprefix('.') or 'a number'} is {content}"
    elif isinstance(content, dict):
        for key, item in content.items():
            yield from _not_finite(item, f"{path}.{key}")
    elif isinstance(content, (list, tuple)):
        for i, item in enumerate(content):
            yield from _not_finite(item, f"{path}[{i}]")
