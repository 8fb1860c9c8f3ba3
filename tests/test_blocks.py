import pytest

from mocksed.blocks import row_blocks


@pytest.mark.parametrize(("start", "stop", "size"), [(0, 10, 3), (0, 9, 3), (5, 12, 100), (4, 4, 2), (0, 1, 1)])
def test_blocks_hold_every_row_once_in_order(start, stop, size):
    blocks = list(row_blocks(start, stop, size))
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(start, stop))
    assert all(block.stop - block.start == size for block in blocks[:-1])
    assert all(0 < block.stop - block.start <= size for block in blocks)
