"""What Linux tells of this machine's TCP: the open connections to a port, and who listens. Opens none itself."""

from pathlib import Path

_ESTABLISHED, _LISTENING = "01", "0A"
_TABLES = ("tcp", "tcp6")


def open_connections(port: int, tables: Path = Path("/proc/net")) -> int | None:
    """How many TCP connections end at this port of this machine; None where the system does not tell.

    A connection through loopback is seen from both of its ends; so this counts too many rather than too few.
    """
    ends = f":{port:04X}"
    found: int | None = None
    for name in _TABLES:
        try:
            lines = (tables / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        fields = (line.split() for line in lines)
        found = (found or 0) + sum(
            1
            for each in fields
            if each[3] == _ESTABLISHED and (each[1].endswith(ends) or each[2].endswith(ends))
        )
    return found


def ports_on_every_address(tables: Path = Path("/proc/net")) -> tuple[int, ...]:
    """The ports on which somebody listens on all addresses of this machine at once; none where nothing tells."""
    found = set()
    for name in _TABLES:
        try:
            lines = (tables / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for each in (line.split() for line in lines):
            address, _, port = each[1].partition(":")
            if each[3] == _LISTENING and not address.strip("0"):
                found.add(int(port, 16))
    return tuple(sorted(found))
