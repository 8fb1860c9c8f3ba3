"""Blocks of rows: long tables are worked on a part at a time, so that memory does not grow with them."""

from collections.abc import Iterator


def row_blocks(start: int, stop: int, size: int) -> Iterator[slice]:
    """Yield the rows from ``start`` to ``stop`` in slices of ``size``, the last one shorter."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))
