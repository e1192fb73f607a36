"""How large a table is, in words."""

import pytest

from orchestrator.schema.scale import in_units, scale


@pytest.mark.parametrize(
    ("size", "writes", "said"),
    [
        ((0, 0), None, "no rows"),
        ((0, -1), None, "no rows"),
        ((8192, -1), None, "8 kB, never analysed"),
        ((8192, 0), None, "some rows, 8 kB"),
        ((3 * 2**30 // 2, 5_000_000), 41.7, "about 5,000,000 rows, 1.5 GB, about 42 writes a second"),
        ((8192, 3), 0.2, "about 3 rows, 8 kB, less than one write a second"),
        ((8192, 3), 0.0, "about 3 rows, 8 kB, no writes"),
    ],
)
def test_a_table_in_words(size, writes, said):
    assert scale(size, writes) == said


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 bytes"), (2**20, "1.0 MB"), (30 * 2**40, "30 TB"), (2**60, "1048576 TB")]
)
def test_units(size, said):
    assert in_units(size) == said
