"""TLS at the gate of a compute, as libpq asks for it; verified by the home's authority, with and without binding."""

import os
import shutil
import socket
import ssl
import stat
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from neon_client import ConnectionURI, CreatedBranch
from neon_embedded import scram
from neon_embedded.account import postgres_account
from neon_embedded.authority import Authority
from neon_embedded.home import Home

from .conftest import World


@pytest.fixture
def created(world: World) -> CreatedBranch:
    return world.client.create_branch(world.project, name="tls", parent_id=world.main)


def secure(world: World, created: CreatedBranch | None = None) -> ConnectionURI:
    """The address that `neonctl connection-string` makes, without its query; of main when no branch is given."""
    branch_id = created.branch.id if created is not None else world.main
    host, _, port = world.client.endpoints(world.project, branch_id)[0].host.rpartition(":")
    return world.uri(branch_id).with_host(host, int(port))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("binding", ["disable", "prefer", "require"])
def test_libpq_verifies_it_in_full(world: World, host: str, binding: str) -> None:
    uri = secure(world).with_host(host).reveal()
    query = f"?sslmode=verify-full&sslrootcert={world.running.ca_file}&channel_binding={binding}"
    with psycopg.connect(uri + query, connect_timeout=10) as connection:
        assert connection.pgconn.ssl_in_use
        text = "x" * 3_000_000
        assert connection.execute("select %s || ''", (text,)).fetchone() == (text,)


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_the_machines_own_psql(world: World, mode: str) -> None:
    """A psql that somebody else built, as `neonctl psql` would run it."""
    uri = secure(world)
    environment = {
        "PATH": os.environ["PATH"],
        "PGPASSWORD": uri.password.reveal(),
        "PGSSLMODE": mode,
        "PGSSLROOTCERT": str(world.running.ca_file),
        "PGCHANNELBINDING": "require",
    }
    done = subprocess.run(
        [
            psql_with_openssl(), "--no-psqlrc", "-At", f"--host={uri.host}", f"--port={uri.port}",
            "--username=neondb_owner", "--dbname=neondb", "--command=select 6 * 7", "--command=\\conninfo",
        ],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "42"
    assert "SSL" in done.stdout
    wrong = subprocess.run(
        [psql_with_openssl(), "--no-psqlrc", f"--host={uri.host}", f"--port={uri.port}", "--username=neondb_owner",
         "--dbname=neondb", "--command=select 1"],
        env=environment | {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": os.devnull},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert wrong.returncode == 2
    assert "certificate" in wrong.stderr


def psql_with_openssl() -> str:
    """A psql of this machine that speaks TLS; the wheel's does not."""
    places = [shutil.which("psql"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/psql")))]
    for program in filter(None, places):
        words = [program, "--host=127.0.0.1", "--port=1", "--command=select 1"]
        asked = subprocess.run(
            words, env={"PGSSLMODE": "require"}, capture_output=True, text=True, timeout=60
        )
        if "not compiled in" not in asked.stderr:
            return program
    pytest.skip("no psql with OpenSSL on this machine")


def test_both_ways_at_once_do_not_block(world: World) -> None:
    """A pipeline whose answers fill every buffer before the last question is sent."""
    with psycopg.connect(secure(world).reveal() + "?sslmode=require") as connection:
        with connection.pipeline():
            cursors = [
                connection.execute("select repeat('y', 500000), %s", ("z" * 500_000,)) for _ in range(12)
            ]
        assert {len(str(cursor.fetchone())) for cursor in cursors} == {1_000_008}


@pytest.mark.parametrize(
    "query", ["?sslmode=disable", "?sslmode=prefer", "?gssencmode=prefer&sslmode=require"]
)
def test_other_ways_in(world: World, query: str) -> None:
    with psycopg.connect(secure(world).reveal() + query) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with psycopg.connect(world.uri(world.main).reveal() + "?sslmode=disable") as connection:
        assert not connection.pgconn.ssl_in_use


def test_who_does_not_know_the_password_stays_outside(world: World) -> None:
    uri = secure(world).reveal()
    password = secure(world).password.reveal()
    for wrong in (uri.replace(password, "guess"), uri.replace("neondb_owner:", "nobody:")):
        for binding in ("disable", "require"):
            with pytest.raises(psycopg.OperationalError, match="password authentication failed for user"):
                psycopg.connect(f"{wrong}?sslmode=require&channel_binding={binding}")
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
        psycopg.connect(uri.replace("neondb_owner:", "cloud_admin:") + "?sslmode=require")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(uri.removesuffix("neondb") + "nothing" + "?sslmode=require")


def test_a_new_password_counts_at_once(world: World, created: CreatedBranch) -> None:
    query = "?sslmode=require&channel_binding=require"
    old = secure(world, created).reveal()
    psycopg.connect(old + query).close()
    world.client.reset_password(world.project, created.branch.id, "neondb_owner")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old + query)
    with psycopg.connect(secure(world, created).reveal() + query) as connection:
        # A role and a password that only SQL knows.
        connection.execute("create role by_sql login password 'sesame'")
        connection.commit()
    by_sql = ConnectionURI(old)
    psycopg.connect(
        f"postgresql://by_sql:sesame@{by_sql.host}:{by_sql.port}/{by_sql.database}{query}"
    ).close()


def test_it_wakes_and_cancels(world: World, created: CreatedBranch) -> None:
    world.client.suspend_endpoint(world.project, created.endpoints[0].id)
    with psycopg.connect(secure(world, created).reveal() + "?sslmode=require", autocommit=True) as connection:
        connection.pgconn.send_query(b"select pg_sleep(60)")
        with world.connect(created.branch.id) as other:
            asleep = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
            while other.execute(asleep).fetchone() is None:
                pass
        connection.pgconn.get_cancel().cancel()
        result = connection.pgconn.get_result()
        assert result is not None
        assert b"canceling statement due to user request" in result.error_message
        assert connection.pgconn.get_result() is None


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!ii", 2**31 - 1, 80877103),
        struct.pack("!ii", 8, 80877103),
    ],
)
def test_nonsense_ends_quietly(world: World, sent: bytes) -> None:
    uri = secure(world)
    with socket.create_connection((uri.host, uri.port), timeout=10) as visitor, suppress(OSError):
        visitor.sendall(sent)
        if sent[4:] == struct.pack("!i", 80877103):
            assert visitor.recv(1) in {b"S", b""}
            visitor.sendall(b"no handshake" * 10)
        visitor.shutdown(socket.SHUT_WR)
        while visitor.recv(4096):
            pass
    psycopg.connect(uri.reveal() + "?sslmode=require").close()


# The authority by itself.


@pytest.fixture
def own(tmp_path: Path) -> Home:
    return Home(root=tmp_path, account=postgres_account())


def test_the_authority_is_kept_and_its_key_private(own: Home) -> None:
    first = Authority(own).credential()
    ca = own.ca_file.read_bytes()
    assert Authority(own).credential().binding == first.binding
    more = Authority(own).credential(["172.17.0.1"])
    assert more.names - first.names == {"172.17.0.1"}
    assert Authority(own).credential().names == more.names
    assert own.ca_file.read_bytes() == ca
    for path, mode in ((own.ca_key, 0o600), (own.certificate, 0o600), (own.ca_file, 0o644)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_is_torn_or_old_is_made_anew(own: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Authority(own).credential()
    own.certificate.write_text("torn")
    second = Authority(own).credential()
    assert second.binding != first.binding
    ca = own.ca_file.read_bytes()
    own.ca_key.unlink()
    third = Authority(own).credential()
    assert own.ca_file.read_bytes() != ca
    assert third.binding != second.binding
    monkeypatch.setattr("neon_embedded.authority._RENEW_DAYS", 400)
    keeper = Authority(own)
    assert keeper.credential().binding != third.binding


def test_the_authority_vouches_for_private_places_only(own: Home) -> None:
    Authority(own).credential()
    ca = x509.load_pem_x509_certificate(own.ca_file.read_bytes())
    constraints = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    names = constraints.value.permitted_subtrees or ()
    assert all(name.value.is_private for name in names if isinstance(name, x509.IPAddress))
    assert {name.value for name in names if isinstance(name, x509.DNSName)} == {
        "localhost",
        "host.docker.internal",
    }
    context = ssl.create_default_context(cafile=own.ca_file)
    assert context.get_ca_certs()


# SCRAM by itself, against libpq's own verifier.

BINDING = b"b" * 32


def verifier_of(password: str) -> scram.Verifier:
    import hashlib
    import hmac

    salt, rounds = b"salt" * 4, 100
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return scram.Verifier(
        iterations=rounds,
        salt=salt,
        stored_key=hashlib.sha256(client).digest(),
        server_key=hmac.digest(salted, b"Server Key", "sha256"),
    )


def client_key_of(password: str) -> bytes:
    import hashlib
    import hmac

    return hmac.digest(
        hashlib.pbkdf2_hmac("sha256", password.encode(), b"salt" * 4, 100), b"Client Key", "sha256"
    )


@given(st.text(), st.text())
def test_only_the_same_password_gets_in(ours: str, theirs: str) -> None:
    verifier = verifier_of(ours)
    server = scram.Server(verifier, binding=BINDING, mechanism=scram.PLAIN)
    client = scram.Client(verifier, client_key_of(theirs))
    answer = client.final(server.first(client.first()))
    if ours == theirs:
        final, key = server.final(answer)
        client.check(final)
        assert key == client_key_of(ours)
    else:
        with pytest.raises(scram.ScramDenied):
            server.final(answer)


@pytest.mark.parametrize(
    ("mechanism", "first"),
    [
        (scram.PLAIN, "y,,n=,r=abc"),  # the downgrade that channel binding is there to notice
        (scram.PLUS, "n,,n=,r=abc"),
        (scram.PLUS, "p=tls-unique,,n=,r=abc"),
        (scram.PLAIN, "n,a=somebody,n=,r=abc"),
        (scram.PLAIN, "n,,n=,"),
        ("MD5", "n,,n=,r=abc"),
    ],
)
def test_what_is_negotiated_wrongly_is_denied(mechanism: str, first: str) -> None:
    with pytest.raises(scram.ScramDenied):
        scram.Server(verifier_of("x"), binding=BINDING, mechanism=mechanism).first(first)


@given(st.text())
def test_any_final_message_but_the_right_one_is_denied(message: str) -> None:
    server = scram.Server(verifier_of("x"), binding=BINDING, mechanism=scram.PLAIN)
    with pytest.raises(scram.ScramDenied):
        server.final(message)
    server.first("n,,n=,r=abc")
    with pytest.raises(scram.ScramDenied):
        server.final(message)
