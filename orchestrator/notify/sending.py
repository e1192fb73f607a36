"""One message to one URL, and to no address that the settings do not allow. Keeps nothing.

The name is resolved once, every address is looked at, and the connection goes to what was looked at: a name that
changes its mind in between (DNS rebinding) reaches nothing else. Redirects are not followed.
"""

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from neon_client import Secret
from orchestrator.steps.announced import signature

#: For each part of an exchange, and for the whole of it.
_SECONDS, _AT_MOST = 10.0, 30.0
_AGAIN = frozenset({408, 409, 425, 429})
#: IPv6 addresses that end with an IPv4 address, which a gateway may dial: NAT64 (RFC 6052), IPv4-translated
#: (RFC 2765) and IPv4-compatible ones (RFC 4291).
_HOLDING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))
#: NAT64 of a network's own (RFC 8215): where in it the IPv4 address stands is that network's business.
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotSent(Exception):
    """It was not taken.

    Attributes:
        why: for a person; no secret in it.
        again: whether another try may help.
    """

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.why = why
        self.again = again


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL, resolved.

    Attributes:
        url: with the address in place of the name.
        host: the name, for the Host header and for TLS.
        netloc: name and port.
    """

    url: str
    host: str
    netloc: str


def resolve(url: str, *, internal: bool) -> Destination:
    """The URL with an address that may be dialled.

    Raises:
        NotSent: it is no URL to send to, the name is unknown, or it leads where it may not.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise NotSent("the URL cannot be read", again=False) from None
    if parts.scheme not in ("http", "https") or not parts.host or parts.userinfo:
        raise NotSent("the URL is not http(s)://HOST/...", again=False)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotSent(f"the name {parts.host} is not known", again=True) from None
    addresses = [ipaddress.ip_address(each[4][0]) for each in found]
    if not internal and (inside := next((each for each in addresses if not _may_be_dialled(each)), None)):
        raise NotSent(
            f"{parts.host} leads to {inside}, an address of this machine or of a private network, "
            "and `internal` does not allow that",
            again=False,
        )
    return Destination(
        url=str(parts.copy_with(host=str(addresses[0]))), host=parts.host, netloc=parts.netloc.decode()
    )


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet's, whatever way it is written."""
    if isinstance(address, ipaddress.IPv6Address):
        held = address.ipv4_mapped or address.sixtofour
        if held is None and address.teredo is not None:
            held = address.teredo[1]
        if address in _NAT64_LOCAL:
            return False
        if held is None and any(address in each for each in _HOLDING):
            held = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if held is not None:
            return is_public(held)
    return address.is_global and not address.is_multicast


def _may_be_dialled(address: Address) -> bool:
    return is_public(address) and not is_ours(address)


def is_ours(address: Address) -> bool:
    """Whether an address is this machine's own: a public one, too, leads to what its firewall keeps from others."""
    kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))  # sends nothing; the way to oneself begins where it ends
            return bool(ipaddress.ip_address(probe.getsockname()[0]) == address)
    except OSError:
        return False


def send(
    url: Secret,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    secret: Secret | None,
    internal: bool,
) -> None:
    """Send a message.

    Raises:
        NotSent: it was not taken.
    """
    to = resolve(url.reveal(), internal=internal)
    content = json.dumps(body, ensure_ascii=False).encode()
    signed = {"Preview-Signature": signature(secret.reveal(), content, int(time.time()))} if secret else {}
    status = _in_time(to.host, lambda: _post(to, content, {**headers, **signed}))
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise NotSent(f"{to.host} sends us elsewhere (status {status}); give the final URL", again=False)
    raise NotSent(f"{to.host} answers {status}", again=status in _AGAIN or status >= 500)


def _post(to: Destination, content: bytes, headers: Mapping[str, str]) -> int:
    """The status of the answer; its body is nobody's business."""
    with (
        httpx.Client(timeout=_SECONDS, trust_env=False, follow_redirects=False) as client,
        client.stream(
            "POST",
            to.url,
            content=content,
            headers={**headers, "Host": to.netloc},
            extensions={"sni_hostname": to.host},
        ) as answer,
    ):
        return answer.status_code


def _in_time(host: str, post: Callable[[], int]) -> int:
    """Post, but not longer than is bearable: a time-out of httpx begins anew with every byte that drips in.

    Raises:
        NotSent: nobody answered, or not in time.
    """
    said: list[int | httpx.HTTPError] = []

    def ask() -> None:
        try:
            said.append(post())
        except httpx.HTTPError as error:
            said.append(error)

    asking = threading.Thread(target=ask, name="telling", daemon=True)
    asking.start()
    asking.join(_AT_MOST)
    if not said:
        raise NotSent(f"{host} did not answer within {_AT_MOST:.0f} s", again=True)
    if isinstance(said[0], int):
        return said[0]
    raise NotSent(f"{host}: {type(said[0]).__name__}", again=True)
