"""How large and how busy a table is, in words. Pure: no I/O of any kind."""

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def scale(size: tuple[int, int], writes: float | None = None) -> str:
    """``about 5,000,000 rows, 1.2 GB, about 40 writes a second``.

    Args:
        size: bytes, and rows as the last ANALYZE estimated them; -1 rows: there was none (Postgres docs, pg_class).
        writes: rows inserted, updated and deleted per second; None when that is not known.
    """
    size_bytes, rows = size
    if not size_bytes:
        counted = "no rows"
    elif rows < 0:
        counted = f"{in_units(size_bytes)}, never analysed"
    else:
        counted = (
            f"about {rows:,} rows, {in_units(size_bytes)}" if rows else f"some rows, {in_units(size_bytes)}"
        )
    if writes is None:
        return counted
    if writes >= 1:
        return f"{counted}, about {writes:,.0f} writes a second"
    return f"{counted}, {'less than one write a second' if writes else 'no writes'}"


def in_units(size: int) -> str:
    """Bytes for a person: ``16 kB``, ``1.2 GB``."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit > 1 and value < 10 else f"{value:.0f} {_UNITS[unit]}"
