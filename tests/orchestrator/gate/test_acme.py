"""Certificates by ACME, really run: an authority of the test's own asks the gateway to prove each name (RFC 8555).

The authority is a Caddy, too. It proves names on ports 80 and 443, as the standard has it, so this needs root; it sees
a hosts file of its own, in which the names lead to an address of loopback where the gateway listens.
"""

import os
import shlex
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from preview.caddy import Caddy, find_caddy
from tests.orchestrator.gate.conftest import House, a_port
from tests.orchestrator.gate.test_certificates import ask

pytestmark = pytest.mark.prove

GATEWAY = "127.84.43.1"
NAMES = ("preview.test", "pr-1.preview.test", "pr-2.preview.test", "nobody.preview.test")


class Authority:
    """An ACME authority with one way of proving a name."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        hosts, program = folder / "hosts", folder / "caddy"
        hosts.write_text(f"127.0.0.1 localhost\n{GATEWAY} {' '.join(NAMES)}\n")
        inside = f'mount --bind {shlex.quote(str(hosts))} /etc/hosts && exec {find_caddy()} "$@"'
        program.write_text(f'#!/bin/sh\nexec unshare --mount sh -c {shlex.quote(inside)} caddy "$@"\n')
        program.chmod(0o755)
        self.caddy = Caddy(folder / "ca", program)
        self.port = a_port()
        self.directory = f"https://localhost:{self.port}/acme/ours/directory"
        self.root = folder / "ca" / "home" / "caddy" / "pki" / "authorities" / "ours" / "root.crt"

    def proves_by(self, challenge: str) -> None:
        server = {
            "listen": [f"127.0.0.1:{self.port}"],
            "automatic_https": {"disable_redirects": True},
            "tls_connection_policies": [{}],
            "logs": {},
            "routes": [
                {
                    "match": [{"host": ["localhost"]}],
                    "handle": [{"handler": "acme_server", "ca": "ours", "challenges": [challenge]}],
                }
            ],
        }
        policy = {"subjects": ["localhost"], "issuers": [{"module": "internal", "ca": "ours"}]}
        config: dict[str, Any] = {
            "logging": {"logs": {"default": {"level": "INFO"}}},
            "apps": {
                "pki": {"certificate_authorities": {"ours": {"install_trust": False}}},
                "http": {"servers": {"ca": server}},
                "tls": {"automation": {"policies": [policy]}},
            },
        }
        self.caddy.ensure(config)

    def asked(self, what: str) -> int:
        """How often it was asked for something, `new-order` for example."""
        return sum(f"/acme/ours/{what}" in line for line in self.caddy.log(100_000))


@pytest.fixture
def authority(enterable: Path) -> Iterator[Authority]:
    if os.geteuid() != 0:
        pytest.skip("an authority proves names on ports 80 and 443, which only root may listen on")
    made = Authority(enterable / "authority")
    made.proves_by("http-01")
    yield made
    made.caddy.remove()


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.root))


def test_a_previews_name_is_proved_to_an_authority_and_no_other_name_is_tried(
    open_house: Callable[..., House], authority: Authority
) -> None:
    house = open_house(
        domain="preview.test",
        listen=GATEWAY,
        port=443,
        authority=authority.directory,
        authority_root=str(authority.root),
        email="ops@preview.test",
    )
    house.preview("pr-1")
    trust = trusting(authority)
    with house.gate():
        # However many come first, it is one order: a certificate by port 80.
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: ask(house, "pr-1.preview.test", trust=trust).status, range(20)))
        assert set(answers) == {401}
        assert authority.asked("new-order") == 1

        # The next one by port 443, for a preview that was made a moment ago.
        authority.proves_by("tls-alpn-01")
        assert ask(house, "preview.test", trust=trust).status in (502, 503)
        house.preview("pr-2")
        assert ask(house, "pr-2.preview.test", trust=trust).status == 401
        assert authority.asked("new-order") == 3

        # Names that nobody has: no certificate, and the authority does not hear of them.
        for name in (
            *(f"invented-{number}.preview.test" for number in range(50)),
            "a.pr-1.preview.test",
            "evil.example",
        ):
            with pytest.raises(ssl.SSLError):
                ask(house, name, trust=trust)
        assert authority.asked("new-order") == 3
        assert authority.asked("new-account") == 1
