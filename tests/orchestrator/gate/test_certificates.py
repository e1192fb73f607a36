"""A team's HTTPS, with an authority of the gateway's own: who gets a certificate, and who does not."""

import http.client
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.errors import SettingsError
from orchestrator.gate.config import TOKEN
from orchestrator.gate.serving import config_of
from preview.caddy import CaddyRefused
from tests.orchestrator.gate.conftest import House


def ask(
    house: House,
    host: str,
    path: str = "/echo",
    headers: dict[str, str] | None = None,
    trust: ssl.SSLContext | None = None,
) -> http.client.HTTPResponse:
    """A request by HTTPS, with the host's name in the handshake; raises SSLError when there is no certificate.

    `trust`: whose certificates are good; None: anybody's.
    """
    context = trust
    if context is None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (house.gateway.listen or "127.0.0.1", house.port)
    with (
        socket.create_connection(address, timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=host) as wrapped,
        closing(http.client.HTTPSConnection(host, timeout=30)) as connection,
    ):
        connection.sock = wrapped
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        answer.body = answer.read()  # type: ignore[attr-defined]
    return answer


def test_a_name_that_the_gate_knows_gets_a_certificate_and_no_other(open_house: Callable[..., House]) -> None:
    house = open_house(domain="preview.test", tls="internal")
    house.preview("pr-1")
    with house.gate():
        token = house.token()
        answer = ask(house, "pr-1.preview.test", headers={TOKEN: token})
        assert answer.status == 200
        assert b'"x-forwarded-proto", "https"' in answer.body.replace(b'","', b'", "')  # type: ignore[attr-defined]
        for stranger in ("nobody.preview.test", "evil.example", "a.pr-1.preview.test"):
            with pytest.raises(ssl.SSLError):
                ask(house, stranger)
        # Its own name has one too: it leads to the team's server, which does not run here.
        assert ask(house, "preview.test").status in (502, 503)
        # A certificate for one name is no way to another.
        assert ask(
            house, "pr-1.preview.test", headers={"Host": "other.preview.test", TOKEN: token}
        ).status in (404, 421)


def test_a_plain_request_on_the_port_of_https_reaches_nothing(open_house: Callable[..., House]) -> None:
    house = open_house(domain="preview.test", tls="internal")
    house.preview("pr-1")
    with house.gate():
        answer = house.raw("GET /echo HTTP/1.1\nHost: pr-1.preview.test\nConnection: close\n\n")
    assert b"sha256" not in answer


def written(folder: Path, *names: str) -> tuple[Path, Path]:
    """A certificate that is its own root, and its key, in the places of those that were there."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, secret


def test_one_certificate_in_files_serves_every_name_and_a_new_one_takes_its_place(
    open_house: Callable[..., House], tmp_path: Path
) -> None:
    names = ("preview.test", "*.preview.test")
    certificate, key = written(tmp_path, *names)
    house = open_house(domain="preview.test", tls="files", certificate=str(certificate), key=str(key))
    house.preview("pr-1")

    def status(host: str) -> int:
        return ask(house, host, trust=ssl.create_default_context(cafile=str(certificate))).status

    def follow() -> None:
        house.caddy.ensure(config_of(house.gateway.model_copy(update={"gate": house.gate_address})))

    with house.gate():
        assert (status("pr-1.preview.test"), status("nobody.preview.test")) == (401, 404)
        follow()
        written(tmp_path, *names)
        with pytest.raises(ssl.SSLCertVerificationError):
            status("pr-1.preview.test")
        follow()
        assert status("pr-1.preview.test") == 401
        # Half a renewal is not taken, and what was served goes on.
        before = certificate.read_bytes()
        written(tmp_path, *names)
        renewed = certificate.read_bytes()
        certificate.write_bytes(before)
        with pytest.raises(CaddyRefused):
            follow()
        assert status("pr-1.preview.test") == 401
        certificate.write_bytes(renewed)
        follow()
        assert status("pr-1.preview.test") == 401
        certificate.unlink()
        with pytest.raises(SettingsError, match="cannot be read"):
            follow()
