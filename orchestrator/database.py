"""The orchestrator's only door to PostgreSQL: connect, redact, advisory locks. Knows no schema and no plan."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from orchestrator import faults
from orchestrator.errors import DatabaseUnreachable

Connection = psycopg.Connection[tuple[Any, ...]]

#: How long a cold compute may take to accept connections, in seconds (Neon: "a few hundred ms", plus margin).
COLD_SECONDS = 30.0
#: Settings of a session that holds locks: when its machine is gone without a word, the server gives it up within a
#: minute, and with it the locks.
HOLDS_LOCKS = {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}

#: The names by which this machine calls itself.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

#: Limits that a role or a database may have set for its sessions. Ours wait for people, hold turns and build indexes:
#: whoever wants a limit sets it for one statement. Asked by name, because older servers do not know all of them.
_NO_LIMITS = """
select pg_catalog.set_config(name, '0', false) from pg_catalog.pg_settings
where setting <> '0' and name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
                                  'idle_session_timeout', 'transaction_timeout')
"""

#: For sessions that must see every row: where a policy would hide some, PostgreSQL says so instead of hiding them
#: (docs, row_security). Who has BYPASSRLS, or owns a table without FORCE, sees no difference.
ALL_ROWS = {"row_security": "off"}
#: What to do where it said so.
ROWS_HIDDEN = (
    "row-level security would hide rows of that table from this role: let project.role be one with BYPASSRLS, or take"
    " FORCE ROW LEVEL SECURITY from the table and let it be its owner"
)

#: SQLSTATEs that say "not yet": starting up, shutting down, too many connections (Postgres docs, appendix A).
_NOT_YET = {"57P03", "57P01", "57P02", "53300"}


def redacted(uri: str) -> str:
    """A URI or key/value string without its secrets, fit for a message: ``postgresql://role@host:port/database``."""
    known = _parsed(uri)
    if known is None:
        return "(a database URL that cannot be parsed)"
    where = known.get("host") or known.get("hostaddr") or ""
    if ":" in where:
        where = f"[{where}]"
    if known.get("port"):
        where = f"{where}:{known['port']}"
    if known.get("user"):
        where = f"{known['user']}@{where}"
    return f"postgresql://{where}/{known.get('dbname') or ''}"


def _parsed(uri: str) -> dict[str, str] | None:
    """What libpq makes of a URI or key/value string; None when it is neither, or when it looks like an accident.

    A password with an unescaped slash moves itself into the database's name: then nothing of it may be shown.
    """
    try:
        known = {name: str(value) for name, value in conninfo_to_dict(uri).items() if value is not None}
    except (psycopg.ProgrammingError, UnicodeError):
        return None
    if "://" in uri and "@" in known.get("dbname", "") + known.get("host", "") + known.get("port", ""):
        return None
    return known


def _will_pass(error: BaseException) -> bool:
    """Whether a failed connection may work in a moment: a cold compute, a restart; not a wrong password."""
    if not isinstance(error, psycopg.OperationalError):
        return False
    if error.sqlstate is not None:
        return error.sqlstate in _NOT_YET
    text = str(error)
    return (
        "authentication failed" not in text
        and "does not exist" not in text
        and "could not translate" not in text
    )


def connect(
    uri: str,
    *,
    purpose: str,
    autocommit: bool = True,
    patience_seconds: float = 0.0,
    connect_timeout_seconds: int = 10,
    settings: Mapping[str, str] | None = None,
) -> Connection:
    """Open a connection, on which no time-outs hold that its role or database may have.

    Args:
        uri: a libpq URI or key/value string; may hold a password, which never reaches a message.
        purpose: a few words; becomes ``application_name`` (``preview: <purpose>``), so that whoever looks
            at pg_stat_activity knows us.
        autocommit: psycopg's autocommit mode.
        patience_seconds: how long to keep trying while the server is cold, starting or full.
        connect_timeout_seconds: libpq's connect_timeout for one attempt, in seconds.
        settings: server settings for this session (``SET``), applied after connecting so that poolers
            that refuse start-up options still work.

    Raises:
        DatabaseUnreachable: nobody accepted the connection; says where, and what the server said.
    """
    if _parsed(uri) is None:
        raise DatabaseUnreachable(
            f"the database URL for '{purpose}' cannot be parsed",
            hint="write postgresql://role:password@host:port/database, with / @ : % # of the password percent-encoded",
        )
    retrying = Retrying(
        retry=retry_if_exception(_will_pass),
        stop=stop_after_delay(patience_seconds),
        wait=wait_random_exponential(multiplier=0.05, max=1.0),
        reraise=True,
    )
    try:
        connection: Connection = retrying(
            _opened,
            uri,
            autocommit=autocommit,
            connect_timeout=connect_timeout_seconds,
            application_name=f"preview: {purpose}"[:63],
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
    except (psycopg.OperationalError, psycopg.ProgrammingError, UnicodeError) as error:
        raise DatabaseUnreachable(
            f"cannot connect to {redacted(uri)} ({purpose}): {_reason(error, uri)}",
            hint="check that the server runs, and that host, port, role and password are right",
        ) from None
    if faults.active():
        connection.cursor_factory = faults.Cursor
    if settings:
        pins = ", ".join("pg_catalog.set_config(%s, %s, false)" for _ in settings)
        connection.execute(f"select {pins}".encode(), [part for pair in settings.items() for part in pair])
    return connection


def _opened(uri: str, **more: Any) -> Connection:
    """A connection without time-outs."""
    connection: Connection = psycopg.connect(uri, **more)
    try:
        connection.execute(_NO_LIMITS)
        if not connection.autocommit:
            connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _reason(error: Exception, uri: str) -> str:
    """The server's words on one line, with the URI's password removed wherever a driver may repeat it."""
    text = " ".join(str(error).split())
    password = (_parsed(uri) or {}).get("password")
    if password:
        text = text.replace(password, "***")
    return text.removeprefix("connection failed: ")


def hides_rows(error: psycopg.Error) -> bool:
    """Whether the server refused because a policy would hide rows; its SQLSTATE is that of any missing right."""
    return error.diag.source_function == "check_enable_rls"


def lock_key(*words: str) -> int:
    """A stable 64-bit key for an advisory lock from words (Postgres docs, 13.3.5)."""
    digest = hashlib.sha256("\x1f".join(("preview-orchestrator", *words)).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def try_advisory_lock(connection: Connection, key: int) -> bool:
    """Take a session advisory lock if it is free; Postgres frees it when the session ends, however it ends."""
    row = connection.execute("select pg_catalog.pg_try_advisory_lock(%s::int8)", (key,)).fetchone()
    return bool(row and row[0])


@contextmanager
def advisory_lock(connection: Connection, key: int) -> Iterator[bool]:
    """Hold a session advisory lock for a block; yields whether it was granted (it never waits)."""
    granted = try_advisory_lock(connection, key)
    try:
        yield granted
    finally:
        if granted and not connection.closed:
            connection.execute("select pg_catalog.pg_advisory_unlock(%s::int8)", (key,))
