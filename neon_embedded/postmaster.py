"""One data directory and its postmaster: make, configure, start, stop, ask. Knows no row, no API, no other branch."""

import errno
import ipaddress
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from neon_embedded.account import Account
from neon_embedded.binaries import Binaries
from neon_embedded.errors import ComputeFailed, PortTaken
from neon_embedded.processes import (
    forget_child,
    forget_dead_postmaster,
    pid_file,
    remember_child,
    running,
    stop_postmaster,
)

LOOPBACK: Final = "127.0.0.1"
SUPERUSER: Final = "cloud_admin"

_LOG_LIMIT_BYTES: Final = 10_000_000

#: Small enough for dozens of computes on a laptop: about 10 MB each (reference: embedded-branching.md).
_CONF: Final = """\
# Written by neon_embedded at each start; changes are lost.
listen_addresses = '{addresses}'
port = {port}
unix_socket_directories = '{run_dir}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 32MB
dynamic_shared_memory_type = posix
wal_level = replica
max_wal_senders = 10
max_replication_slots = 10
max_slot_wal_keep_size = 1GB
wal_sender_timeout = 10s
wal_retrieve_retry_interval = 1s
min_wal_size = 32MB
max_wal_size = 256MB
max_logical_replication_workers = 0
fsync = {fsync}
full_page_writes = on
password_encryption = 'scram-sha-256'
log_timezone = 'UTC'
timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_min_error_statement = panic
cluster_name = '{name}'
{more}"""

#: The superuser exists on the socket only, whose directory nobody else can enter.
_HBA: Final = f"""\
# Written by neon_embedded at each start; changes are lost.
local all {SUPERUSER} trust
local replication {SUPERUSER} trust
local all all reject
host all {SUPERUSER} all reject
host all all all scram-sha-256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """A data directory with the means to run it.

    Attributes:
        directory: the branch's directory; ``data`` and ``postgres.log`` are below it.
        binaries: which PostgreSQL.
        account: who runs it.
        run_dir: directory of its unix socket.
    """

    directory: Path
    binaries: Binaries
    account: Account
    run_dir: Path

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """What the postmaster writes; rotated at start when it is large."""
        return self.directory / "postgres.log"

    def initialise(self) -> None:
        """Make an empty data directory: UTF8, C.UTF-8, checksums, superuser ``cloud_admin``. Raises ComputeFailed."""
        make_directory(self.directory, self.account)
        newer = (
            ("--locale-provider=builtin", "--builtin-locale=C.UTF-8") if self.binaries.version >= 17 else ()
        )
        failure = ""
        for locale in ("C.UTF-8", "C"):  # macOS knows no C.UTF-8
            done = self._run(
                self.binaries.initdb,
                "--pgdata", self.data,
                "--username", SUPERUSER,
                "--encoding=UTF8",
                f"--locale={locale}",
                *newer,
                "--data-checksums",
                "--wal-segsize=4",  # a branch starts with a segment switch: 4 MB of disk instead of 16
                "--auth=reject",
                "--no-instructions",
            )  # fmt: skip
            if done.returncode == 0:
                return
            failure = _last_lines(done.stderr)
        raise ComputeFailed(
            f"a data directory could not be made in {self.directory}: {failure}", hint="see the disk"
        )

    def cleanly_shut_down(self) -> bool:
        """Whether the directory was closed properly, so that its files are a whole without any WAL replay."""
        if self.pid() is not None:
            return False
        done = self._run(self.binaries.pg_controldata, self.data)
        return any(
            line.startswith("Database cluster state:") and line.endswith("shut down")
            for line in done.stdout.splitlines()
        )

    def first_wal_file(self) -> str:
        """The WAL file that the next start begins with. Raises ComputeFailed."""
        done = self._run(self.binaries.pg_controldata, self.data)
        found = re.search(r"^Latest checkpoint's REDO WAL file: +([0-9A-F]{24})$", done.stdout, re.MULTILINE)
        if found is None:
            raise ComputeFailed(f"the control file of {self.directory.name} names no WAL file")
        return found[1]

    def checkpoint_lsn(self) -> str:
        """Where the newest checkpoint's record begins; of a directory that was shut down its last one.

        Raises:
            ComputeFailed: the control file does not say.
        """
        done = self._run(self.binaries.pg_controldata, self.data)
        found = re.search(r"^Latest checkpoint location: +([0-9A-F]+/[0-9A-F]+)$", done.stdout, re.MULTILINE)
        if found is None:
            raise ComputeFailed(f"the control file of {self.directory.name} names no checkpoint")
        return found[1]

    def control_file_is_whole(self) -> bool:
        """Whether the control file's checksum is right; a copy taken while it was written may be torn."""
        done = self._run(self.binaries.pg_controldata, self.data)
        return done.returncode == 0 and "CRC" not in done.stdout + done.stderr

    def pid(self) -> int | None:
        """The running postmaster's process id; None when none runs, whatever an old postmaster.pid says."""
        return running(self.data)

    def port(self) -> int | None:
        """The port that the running postmaster has; None when none runs."""
        with suppress(IndexError, ValueError):
            return int(pid_file(self.data)[3]) if self.pid() else None
        return None

    def start(
        self,
        *,
        port: int,
        addresses: Sequence[str],
        durable: bool,
        timeout_seconds: float = 300,
        take_port: Callable[[], None] | None = None,
    ) -> None:
        """Start and wait until it accepts connections; a running one on the same port is adopted.

        Args:
            port: TCP port.
            addresses: IP addresses to listen on; each must be bound, else it is a failure.
            durable: fsync on; off only for branches that may be made again.
            timeout_seconds: for crash recovery, which may be long.
            take_port: makes whoever keeps the port for this compute let go of it; called when the process is up
                and about to bind, so that the port is nobody's for a blink only.

        Raises:
            PortTaken: somebody else listens there.
            ComputeFailed: it did not come up; with the log's last lines.
        """
        if self.pid() is not None:
            if self.port() == port and all(answers(address, port) for address in addresses):
                self._await_ready(None, 0, timeout_seconds)
                return
            self.stop()
        if take_port is not None:
            for address in addresses:
                if not is_local(address):
                    raise _not_here(address, "it is not an address of this machine")
            try:
                self._launch(port, addresses, durable, timeout_seconds, take_port)
            except PortTaken:
                # It was quicker to bind than the other to let go, which it has by now.
                take_port()
            else:
                return
        for address in addresses:
            _assert_free(address, port)
        self._launch(port, addresses, durable, timeout_seconds, None)

    def _launch(
        self,
        port: int,
        addresses: Sequence[str],
        durable: bool,
        timeout_seconds: float,
        take_port: Callable[[], None] | None,
    ) -> None:
        forget_dead_postmaster(self.data)
        for name in (f".s.PGSQL.{port}", f".s.PGSQL.{port}.lock"):
            # The directory is this server's, the port is free: whoever left these is dead, even if still a corpse.
            (self.run_dir / name).unlink(missing_ok=True)
        self._configure(port=port, addresses=addresses, durable=durable)
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                self._spawn(timeout_seconds, take_port)
                break
            except ComputeFailed as error:
                # After kill -9 of a postmaster its backends need a moment to notice.
                if "shared memory block" not in error.message or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        for address in addresses:
            if not answers(address, port):
                self.stop()
                kind = PortTaken if take_port is not None else ComputeFailed
                raise kind(
                    f"PostgreSQL does not listen on {address}:{port}", hint=f"see {self.log} for the reason"
                )

    def stop(self, *, wait_for_checkpoint: bool = True) -> None:
        """End the postmaster and its sessions; none running is fine. Raises ComputeFailed.

        Args:
            wait_for_checkpoint: shut down cleanly, so that the next start is quick; False for what is deleted.
        """
        stop_postmaster(self.directory, wait_for_checkpoint=wait_for_checkpoint)

    @contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection as ``cloud_admin`` through the socket, autocommit. Raises ComputeFailed."""
        try:
            connection = psycopg.connect(
                host=str(self.run_dir),
                port=self.port() or 0,
                user=SUPERUSER,
                dbname=database,
                autocommit=True,
                connect_timeout=10,
                application_name="neon_embedded",
            )
        except psycopg.OperationalError as error:
            text = " ".join(str(error).split())
            raise ComputeFailed(f"the compute of {self.directory.name} does not answer: {text}") from None
        with connection:
            try:
                yield connection
            except psycopg.Error as error:
                text = error.diag.message_primary or " ".join(str(error).split())
                raise ComputeFailed(f"the compute of {self.directory.name} refused: {text}") from None

    def _run(self, program: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=environment(),
            check=False,
            **self.account.identity,
        )

    def _configure(self, *, port: int, addresses: Sequence[str], durable: bool) -> None:
        # PostgreSQL 18 has asynchronous I/O with processes of its own: too much for dozens of small computes.
        more = "io_method = sync\n" if self.binaries.version >= 18 else ""
        conf = _CONF.format(
            addresses=",".join(addresses),
            port=port,
            run_dir=str(self.run_dir).replace("'", "''"),
            fsync="on" if durable else "off",
            name=self.directory.name,
            more=more,
        )
        for name, text in (("postgresql.conf", conf), ("pg_hba.conf", _HBA)):
            path = self.data / name
            path.write_text(text)
            path.chmod(0o600)
            self.account.own(path)

    def _spawn(self, timeout_seconds: float, take_port: Callable[[], None] | None) -> None:
        bound_log(self.log)
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            begin = log.tell()
            process = subprocess.Popen(
                [self.binaries.postgres, "-D", self.data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment(),
                start_new_session=True,
                **self.account.identity,
            )
        remember_child(process)
        self._await_ready(process, begin, timeout_seconds, take_port)

    def _await_ready(
        self,
        process: "subprocess.Popen[bytes] | None",
        log_begin: int,
        timeout_seconds: float,
        take_port: Callable[[], None] | None = None,
    ) -> None:
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            lines = pid_file(self.data)
            ours = process is None or lines[:1] == [str(process.pid)]
            # Line 8 of postmaster.pid: the state that pg_ctl reads too.
            if take_port is not None and ours and lines:
                # It has locked its directory; next it makes its memory, then it binds.
                take_port()
                take_port = None
            if ours and len(lines) >= 8 and lines[7].strip() == "ready":
                return
            if (process is not None and process.poll() is not None) or (
                process is None and self.pid() is None
            ):
                if process is not None:
                    forget_child(process)
                with self.log.open("rb") as log:
                    log.seek(log_begin)
                    text = log.read().decode(errors="replace")
                taken = "Address already in use" in text
                kind = PortTaken if taken else ComputeFailed
                raise kind(f"PostgreSQL did not start: {_last_lines(text)}", hint=f"see {self.log}")
            time.sleep(0.005 if take_port is None else 0.0005)
        raise ComputeFailed(
            f"PostgreSQL of {self.directory.name} is not ready after {timeout_seconds:.0f} s",
            hint=f"see {self.log}",
        )


def bound_log(log: Path) -> None:
    """Keep a log from growing without end, even while it is written: beyond the limit it begins anew.

    The writer appends (O_APPEND), so it goes on at the new end. The old content is kept once, as ``.1``.
    """
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT_BYTES:
            kept = log.with_suffix(".log.1")
            shutil.copyfile(log, kept)
            kept.chmod(0o600)
            os.truncate(log, 0)


def make_directory(path: Path, account: Account) -> None:
    """Make a directory of mode 0700 that belongs to the account; existing is fine."""
    path.mkdir(mode=0o700, exist_ok=True)
    account.own(path)


def new_password() -> str:
    """A password of 144 bits in letters and digits that need no escaping in a URI."""
    return f"npg_{secrets.token_hex(18)}"


def environment() -> dict[str, str]:
    """Nothing of ours: PG* variables, keys and locales of the caller must not reach a postmaster."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET


def _assert_free(address: str, port: int) -> None:
    with socket.socket(_family(address)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"{address}:{port} is in use by another process") from None
            raise _not_here(address, error.strerror) from None


def _not_here(address: str, reason: str | None) -> ComputeFailed:
    return ComputeFailed(f"cannot listen on {address}: {reason}", hint="is it an address of this machine?")


def is_local(address: str) -> bool:
    """Whether the address is one of this machine now (a container bridge may not be up yet)."""
    with socket.socket(_family(address)) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def answers(address: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


def is_free(port: int) -> bool:
    """Whether nobody listens on the port of the loopback address."""
    try:
        _assert_free(LOOPBACK, port)
    except ComputeFailed:
        return False
    return True


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-5:]) or "no message"
