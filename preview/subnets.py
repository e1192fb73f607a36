"""Where previews' own networks are, and the addresses on one: arithmetic. Knows no engine and not its client."""

import ipaddress

POOL = ipaddress.IPv4Network("10.231.0.0/16")
PREFIX = 28


def address_of(gateway: str, place: int) -> str:
    """The address at a place of the network, counted from its own address."""
    return str(ipaddress.ip_address(gateway) - 1 + place)


def subnet_of(gateway: str) -> str:
    """The network that a gateway's address is of, `10.231.0.0/28`."""
    return str(ipaddress.ip_network(f"{gateway}/{PREFIX}", strict=False))
