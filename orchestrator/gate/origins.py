"""Whose page a request comes from: the preview's own, or another's that a browser lends its cookie. Pure.

All previews of a domain are one site, so `SameSite` does not keep the pages of one from asking another in the name of a
visitor.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

_READS = frozenset({"GET", "HEAD"})


def is_own(headers: Mapping[str, str], method: str) -> bool:
    """Whether a preview's own page asks, a person who goes there, or a program.

    Args:
        headers: the request's; their names in any case.
        method: the request's own.
    """
    site = headers.get("sec-fetch-site")
    if site is None:  # an old browser, a websocket of some browsers, or a program
        origin = headers.get("origin")
        return origin is None or same_host(origin, headers.get("host", ""))
    if site in ("same-origin", "none"):
        return True
    # A link leads there; a frame, a form, a picture or a script does not.
    goes = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return goes and method in _READS


def same_host(origin: str, host: str) -> bool:
    """Whether an Origin line names the host of a Host line."""
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False
