"""A certificate authority of this home, and the certificate that computes are reached with. Opens no socket.

It can vouch only for names and addresses of this machine and of private networks (name constraints), so that whoever
trusts ``ca.pem`` trusts it for nothing else. Its key never leaves the home and is readable by the server only.
"""

import ipaddress
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from neon_embedded.home import Home, write_private

_NAMES: Final = ("localhost", "host.docker.internal")
_ADDRESSES: Final = ("127.0.0.1", "::1")
_PERMITTED: Final = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
)
_CA_DAYS: Final = 3650
_CERTIFICATE_DAYS: Final = 365
#: A certificate that ends within this is replaced by a new one.
_RENEW_DAYS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A certificate in use.

    Attributes:
        context: for the server's side of TLS.
        binding: its hash, as channel binding of type tls-server-end-point wants it (RFC 5929).
        names: what it is for.
        ends_at: when it ceases to be valid.
    """

    context: ssl.SSLContext
    binding: bytes
    names: frozenset[str]
    ends_at: datetime


class Authority:
    """The home's authority; made on first use, kept for later ones."""

    def __init__(self, home: Home) -> None:
        self._home: Final = home
        self._lock: Final = threading.Lock()
        self._credential: Credential | None = None

    def credential(self, addresses: Iterable[str] = ()) -> Credential:
        """A certificate that is good for these addresses, too, and for a while. Raises OSError."""
        wanted = {*_NAMES, *_ADDRESSES, *addresses}
        with self._lock:
            credential = self._credential or self._load()
            if credential is None or wanted - credential.names or _is_old(credential.ends_at):
                names = wanted | (credential.names if credential else set())
                credential = self._issue(sorted(names))
            self._credential = credential
            return credential

    def _load(self) -> Credential | None:
        ca, _ = self._authority()
        try:
            pem = self._home.certificate.read_bytes()
            certificate = x509.load_pem_x509_certificate(pem)
            certificate.verify_directly_issued_by(ca)
            return _credential(certificate, self._home.certificate)
        except Exception:  # noqa: BLE001 - absent, torn or another authority's: a new one is made, nothing is lost
            return None

    def _authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """The authority's certificate and key. Key first: a death between the two writes is repaired here."""
        try:
            key = serialization.load_pem_private_key(self._home.ca_key.read_bytes(), None)
            ca = x509.load_pem_x509_certificate(self._home.ca_file.read_bytes())
            whole = isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == ca.public_key()
            if isinstance(key, ec.EllipticCurvePrivateKey) and whole and not _is_old(ca.not_valid_after_utc):
                return ca, key
        except (OSError, ValueError):
            pass
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "neon_embedded of this machine")])
        permitted: list[x509.GeneralName] = [x509.DNSName(each) for each in _NAMES]
        permitted += [x509.IPAddress(ipaddress.ip_network(each)) for each in _PERMITTED]
        ca = (
            _begun(name, name, key, _CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.NameConstraints(permitted, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self._home.ca_key, _pem(key).decode())
        write_private(self._home.ca_file, ca.public_bytes(serialization.Encoding.PEM).decode())
        self._home.ca_file.chmod(0o644)
        return ca, key

    def _issue(self, names: list[str]) -> Credential:
        ca, ca_key = self._authority()
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        certificate = (
            _begun(subject, ca.subject, key, _CERTIFICATE_DAYS)
            .add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
            .sign(ca_key, hashes.SHA256())
        )
        text = certificate.public_bytes(serialization.Encoding.PEM) + _pem(key)
        write_private(self._home.certificate, text.decode())
        return _credential(certificate, self._home.certificate)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a container's clock may be behind
        .not_valid_after(now + timedelta(days=days))
    )


def _credential(certificate: x509.Certificate, path: Path) -> Credential:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(path)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    shown = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
    return Credential(
        context=context,
        binding=certificate.fingerprint(hashes.SHA256()),
        names=frozenset(shown),
        ends_at=certificate.not_valid_after_utc,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_old(ends_at: datetime) -> bool:
    return ends_at < datetime.now(UTC) + timedelta(days=_RENEW_DAYS)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
