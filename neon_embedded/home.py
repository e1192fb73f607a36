"""Where the embedded server keeps its things: one directory, its files and locks. Starts nothing."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from neon_embedded.account import Account, postgres_account
from neon_embedded.errors import HomeUnusable

#: PostgreSQL writes its log in pieces of 16 MiB: with less than two of them it may end in the middle of anything.
_LEAST_BYTES = 32 * 2**20
#: A unix socket's path may have 107 bytes (sun_path); PostgreSQL appends ``/.s.PGSQL.32767.lock``.
_LONGEST_RUN_DIR = 107 - len("/.s.PGSQL.32767.lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The server's directory.

    Attributes:
        root: its absolute path.
        account: the user that owns data directories and runs postmasters.
    """

    root: Path
    account: Account

    @classmethod
    def at(cls, root: Path) -> "Home":
        """The home at ``root``, which need not exist yet. Raises HomeUnusable."""
        return cls(root=Path(os.path.abspath(root)), account=postgres_account())  # noqa: PTH100 - resolve() follows links

    @property
    def start_lock(self) -> Path:
        """Held while somebody starts the server."""
        return self.root / "start.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server as long as it lives."""
        return self.root / "server.lock"

    @property
    def state_file(self) -> Path:
        """Port and pid of the running server, JSON."""
        return self.root / "server.json"

    @property
    def key_file(self) -> Path:
        """The API key, mode 0600."""
        return self.root / "api-key"

    @property
    def ca_file(self) -> Path:
        """The certificate of the home's authority, for clients that verify; everybody may read it."""
        return self.root / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The authority's key, mode 0600."""
        return self.root / "ca.key"

    @property
    def certificate(self) -> Path:
        """The certificate that computes are reached with, and its key, mode 0600."""
        return self.root / "server.pem"

    @property
    def rows(self) -> Path:
        """The server's own rows, SQLite, mode 0600 (it holds role passwords, as Neon does)."""
        return self.root / "neon.sqlite3"

    @property
    def log(self) -> Path:
        """The server's log; rotated."""
        return self.root / "server.log"

    @property
    def no_room(self) -> str:
        """What errors say, too, when next to nothing is left of the disk: it hides in others' words; else empty."""
        if shutil.disk_usage(self.root).free >= _LEAST_BYTES:
            return ""
        return f"; the disk that holds {self.root} is full: make room"

    @property
    def output(self) -> Path:
        """What the server's process wrote to stdout and stderr since its start."""
        return self.root / "server.out"

    @property
    def branches(self) -> Path:
        """One directory per branch."""
        return self.root / "branches"

    @property
    def postgres(self) -> Path:
        """Copies of PostgreSQL's binaries, where the unprivileged user cannot read the installed ones."""
        return self.root / "postgres"

    @property
    def run_dir(self) -> Path:
        """Directory of the unix sockets, mode 0700: in the home, or a short one when the home's path is long.

        libpq and PostgreSQL read a list of directories here, so that a comma or a quote would be misread.
        """
        inside = self.root / "run"
        if len(os.fsencode(inside)) <= _LONGEST_RUN_DIR and not set(str(inside)) & set(",\"'\\"):
            return inside
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path("/tmp") / f"neon-embedded-{name}"  # noqa: S108 - checked to be ours; TMPDIR differs by caller

    def branch_dir(self, timeline: str) -> Path:
        """A timeline's directory: ``data`` (PGDATA) and ``postgres.log``; a branch's is named in its row."""
        return self.branches / timeline

    @property
    def history(self) -> Path:
        """One directory per timeline that has a history: its bases, which never run."""
        return self.root / "history"

    @property
    def snapshots(self) -> Path:
        """One directory per snapshot; they never run."""
        return self.root / "snapshots"

    @property
    def spares(self) -> Path:
        """One directory per warm spare: standbys of branches, which no API knows."""
        return self.root / "spares"

    def make(self) -> None:
        """Create what is missing, with the right modes. Raises HomeUnusable."""
        try:
            # 0711: the unprivileged user passes through; nobody lists. Files inside have their own modes.
            missing = [each for each in (self.root, *self.root.parents) if not each.exists()]
            for directory in reversed(missing):
                directory.mkdir(mode=0o711 if directory == self.root else 0o755, exist_ok=True)
            if self.account.switch and not missing and not self.account.may(self.root, 1):
                self.root.chmod(self.root.stat().st_mode | 0o111)
            for directory in (self.branches, self.postgres, self.history, self.snapshots, self.spares):
                directory.mkdir(mode=0o711, exist_ok=True)
            self._make_run_dir()
        except OSError as error:
            raise HomeUnusable(
                f"{self.root} cannot be prepared: {error.strerror}: {error.filename}",
                hint="choose another directory with PREVIEW_HOME",
            ) from None
        self.account.assert_reaches(self.root)

    def _make_run_dir(self) -> None:
        directory = self.run_dir
        try:
            directory.mkdir(mode=0o700)
            self.account.own(directory)
        except FileExistsError:
            status = directory.lstat()
            # Whoever may write here may pose as the superuser's socket: it must be a directory, and ours alone.
            ours = (
                directory.is_dir() and not directory.is_symlink() and status.st_uid in {self.account.uid, 0}
            )
            if not ours or status.st_mode & 0o077:
                raise HomeUnusable(
                    f"{directory} is not a private directory of user {self.account.name!r}",
                    hint=f"remove {directory}",
                ) from None
            self.account.own(directory)


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold an exclusive lock on a file for a block; yields whether it was granted. The kernel frees it on death.

    Raises:
        HomeUnusable: the file belongs to somebody else.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HomeUnusable(
            f"{path} cannot be used: {error.strerror}",
            hint="it belongs to another user, perhaps; choose another directory with PREVIEW_HOME",
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 at once: a reader sees the old or the new one, never a half."""
    # A name of its own, and always the same: what a killed writer left is written over.
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
