"""Names as SQL writes them, taken apart so that ``"public".orders`` and ``public.orders`` are one. Pure: no I/O."""

import re

_PART = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')


def parts_of(name: str) -> tuple[str, ...]:
    """A qualified name's parts as they are stored: quotes removed, what was not quoted in lower case."""
    return tuple(
        quoted.replace('""', '"') if match.startswith('"') else plain.lower()
        for match, quoted, plain in (
            (found[0], found[1] or "", found[2] or "") for found in _PART.finditer(name)
        )
    )


def same_name(one: str, other: str) -> bool:
    """Whether two qualified names mean the same object."""
    return parts_of(one) == parts_of(other)
