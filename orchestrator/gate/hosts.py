"""Host names and paths that a request says, read carefully. Pure."""

import re
from urllib.parse import urlsplit

from orchestrator.settings import NAME_PATTERN

#: Everything below it is the gate's own, on every preview's host.
RESERVED = "/.preview/"
_HOST = re.compile(r"([a-z0-9.-]{1,253})\.?(?::\d{1,5})?")
#: What a browser takes for a path and a server for a path, and nothing for another host.
_PATH = re.compile(r"/(?![/\\])[!-~]*")


def host_name(host: str) -> str | None:
    """The name in a Host line, in lower case and without its port; None when it is none that we could have."""
    match = _HOST.fullmatch(host.lower())
    return match[1].removesuffix(".") if match else None


def preview_name(host: str, domain: str) -> str | None:
    """The preview that a Host line names: exactly one label below the domain."""
    name, dot, rest = (host_name(host) or "").partition(".")
    return name if dot and rest == domain and NAME_PATTERN.fullmatch(name) else None


def own_path(wanted: str | None) -> str:
    """The path on the same host to go to afterwards; whatever could lead elsewhere, or round in a circle, is `/`."""
    if not wanted or len(wanted) > 2000 or not _PATH.fullmatch(wanted) or "\\" in wanted:
        return "/"
    parts = urlsplit(wanted)
    return wanted if not parts.netloc and not parts.path.startswith(RESERVED) else "/"
