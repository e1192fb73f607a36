"""The server as a background process: started once, found again, stopped. Imports no web or database library."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from neon_client.models import Secret
from neon_embedded.clone import remove_directory
from neon_embedded.errors import EmbeddedError, ServerNotStarted
from neon_embedded.home import Home, locked
from neon_embedded.processes import alive, forget_child, remember_child, stop_postmaster

#: Recovering many computes after a crash may take long; each second is spent on a living process only.
_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 120.0
_REQUEST_SECONDS: Final = 30.0
#: A server that leaves this many requests unanswered is stuck.
_SILENCES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that answers.

    Attributes:
        base_url: the API's address, e.g. ``http://127.0.0.1:20001/api/v2``.
        api_key: the key; hidden in ``repr``.
        pid: the server's process id.
        home: its directory.
    """

    base_url: str
    api_key: Secret = field(repr=False)
    pid: int
    home: Path

    @property
    def ca_file(self) -> Path:
        """The certificate that clients verify its computes by (``sslrootcert``)."""
        return Home.at(self.home).ca_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of a home's server.

    Attributes:
        home: the directory.
        running: the server, or None.
        projects: what it has, as its ``/embedded/status`` says; empty when it does not run.
    """

    home: Path
    running: Running | None
    projects: tuple[dict[str, Any], ...] = ()


def ensure_running(home: Path) -> Running:
    """Start the background server of ``home`` if it does not run, and wait until it answers.

    The server survives the caller. Two callers at once start one. What runs is adopted: postmasters that
    outlived a killed server, too; computes that should run and do not are started.

    Raises:
        HomeUnusable: the directory cannot be used.
        ServerNotStarted: it did not come up; says where its log is.
    """
    place = Home.at(home)
    place.make()
    with locked(place.start_lock, wait=True):
        running = _answering(place)
        if running is not None:
            _ask(running, "POST", "/embedded/heal")
            return running
        return _start(place)


def status(home: Path) -> Status:
    """What runs in ``home``; starts nothing and creates nothing."""
    place = Home.at(home)
    running = _running(place)
    answer = _ask(running, "GET", "/embedded/status") if running else None
    if running is None or answer is None:
        return Status(home=place.root, running=None)
    return Status(home=place.root, running=running, projects=tuple(answer["projects"]))


def stop(home: Path) -> None:
    """Stop the server and all computes; afterwards deleting ``home`` leaves nothing. Not running is fine.

    Raises:
        EmbeddedError: a process does not end.
    """
    place = Home.at(home)
    if not place.root.is_dir():
        return
    with locked(place.start_lock, wait=True):
        _stop_server(place)
        # A server that was killed leaves its postmasters: they are found by their directories.
        for folder in (place.branches, place.spares):
            for directory in folder.iterdir() if folder.is_dir() else ():
                stop_postmaster(directory)
        remove_directory(place.run_dir)


def ask_spares(home: Path, *, branch: str, number: int | None) -> list[str]:
    """Ask for a number of warm spares of a branch by id or name, or of all default branches; None: by the rule.

    Returns:
        The branches, as project/branch.

    Raises:
        EmbeddedError: the server does not run, or there is no such branch.
    """
    found = status(home)
    if found.running is None:
        raise EmbeddedError(f"no embedded Neon server runs on {found.home}", hint="neon-embedded start")
    chosen = [
        (f"{project['name']}/{each['name']}", str(each["id"]))
        for project in found.projects
        for each in project["branches"]
        if (branch in {each["id"], each["name"]} if branch else each["default"])
    ]
    if not chosen:
        raise EmbeddedError(f"there is no branch {branch!r}", hint="neon-embedded status")
    for name, branch_id in chosen:
        body = {"branch_id": branch_id, "spares": number}
        if _ask(found.running, "POST", "/embedded/spares", body) is None:
            raise EmbeddedError(f"the server refused spares of {name}", hint=f"see {Home.at(home).log}")
    return [name for name, _ in chosen]


def _running(place: Home) -> Running | None:
    """The server, judged by the lock that it holds as long as it lives, and the file that it wrote."""
    if not _holder_lives(place):
        return None
    try:
        state = json.loads(place.state_file.read_text())
        key = place.key_file.read_text().strip()
        return Running(
            base_url=str(state["base_url"]), api_key=Secret(key), pid=int(state["pid"]), home=place.root
        )
    except (OSError, ValueError, KeyError):
        return None


def _answering(place: Home) -> Running | None:
    """The server if one lives: one that still recovers computes is waited for, one that is stuck is ended."""
    deadline = time.monotonic() + _START_SECONDS
    silent = 0
    while _holder_lives(place) and time.monotonic() < deadline and silent < _SILENCES:
        running = _running(place)
        if running is not None:
            if _ask(running, "GET", "/auth") is not None:
                return running
            silent += 1
        time.sleep(0.02)
    # Its postmasters stay, and are adopted by the next one - if it can be ended by SIGKILL only.
    _stop_server(place)
    return None


def _start(place: Home) -> Running:
    place.state_file.unlink(missing_ok=True)
    with place.output.open("wb") as output:
        place.output.chmod(0o600)
        process = subprocess.Popen(
            [sys.executable, "-m", "neon_embedded", "serve", "--home", place.root],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
    remember_child(process)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        running = _running(place)
        if running is not None and running.pid == process.pid and _ask(running, "GET", "/auth") is not None:
            return running
        if process.poll() is not None:
            forget_child(process)
            lines = place.output.read_text(errors="replace").strip().splitlines()
            raise ServerNotStarted(
                f"the embedded Neon server ended with status {process.returncode}: {' | '.join(lines[-3:])}",
                hint=f"see {place.output} and {place.log}",
            )
        time.sleep(0.02)
    raise ServerNotStarted(
        f"the embedded Neon server does not answer after {_START_SECONDS:.0f} s", hint=f"see {place.log}"
    )


def _environment() -> dict[str, str]:
    """What the server may see of the caller's: no PG* variables, no keys; it lives long after the caller."""
    kept = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH"}
    kept |= {"PREVIEW_POSTGRES_USER", "NEON_EMBEDDED_FAULTS"}
    return {name: value for name, value in os.environ.items() if name in kept}


def _holder_lives(place: Home) -> bool:
    """Whether a server has this home: the kernel keeps its lock exactly as long as it lives."""
    if not place.server_lock.exists():
        return False
    with locked(place.server_lock, wait=False) as free:
        return not free


def _stop_server(place: Home) -> None:
    """End the server by the pid that it wrote into its lock; only who holds the lock is ever signalled."""
    for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 10.0)):
        deadline = time.monotonic() + seconds
        told: int | None = None
        while time.monotonic() < deadline:
            holds = _holder_lives(place)
            if holds and told is None:
                with suppress(OSError, ValueError):
                    told = int(place.server_lock.read_text())
                    os.kill(told, number)
            # The lock goes first; then the process itself, which may hold files of a disk to be unmounted.
            if not holds and (told is None or not alive(told)):
                place.state_file.unlink(missing_ok=True)
                return
            time.sleep(0.02)
    raise EmbeddedError(
        f"the embedded Neon server of {place.root} does not end", hint="find its process and end it by hand"
    )


def _ask(
    running: Running, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any] | None:
    """The server's answer; None when it gives none or not a good one. Proxies are never asked."""
    address, _, prefix = running.base_url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=_REQUEST_SECONDS)
    try:
        connection.request(
            method,
            f"/{prefix}{path}",
            body=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {running.api_key.reveal()}"},
        )
        answer = connection.getresponse()
        told = json.loads(answer.read())
        return told if answer.status == 200 and isinstance(told, dict) else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
