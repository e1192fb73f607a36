"""The process runtime: a candidate is a local process with the same contract, for machines without Docker.

Keeps everything under one folder, `HOME/processes/NAME/` (mode 0700), and finds again what it started from there,
never by a process's name. Holds nobody to a limit and isolates nothing: it runs the app as the user who asks.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from preview import supervise
from preview.alone import alone_in
from preview.belongings import Belonging, folders
from preview.ending import Ending
from preview.errors import ImageNotFound, LaunchFailed, PortInUse, Unhealthy, UnknownCandidate
from preview.excerpt import TAIL_LINES, last_heads, tail_of
from preview.health import LOOPBACK, wait_until_healthy
from preview.log_file import log_lines, log_pieces
from preview.ports import free_ports, is_free
from preview.source import tree_hash
from preview.spec import (
    BuildSpec,
    Candidate,
    CandidateSpec,
    HealthCheck,
    HostAddress,
    Image,
    Private,
    TaskSpec,
    fingerprint,
)
from preview.task import only_one, run_process

_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.02


class ProcessRuntime:
    """Runs candidates as local processes; see Runtime.

    Attributes:
        kind: `process`.
        folder: where the candidates' folders are.
    """

    kind = "process"

    def __init__(self, *, home: Path) -> None:
        self.folder = home / "processes"

    def available(self) -> str | None:
        """See Runtime.available."""
        return None if os.name == "posix" else "the process runtime needs Linux or macOS; use Docker"

    def build(self, spec: BuildSpec, progress: Callable[[str], None]) -> Image:
        """Give the source tree its content address; there is no image to build."""
        progress(f"hashing {spec.context} (the process runtime runs the source tree, it builds no image)")
        return Image(reference=spec.tag, id=f"sha256:{tree_hash(spec.context, spec.dockerfile)}")

    def image(self, reference: str) -> Image:
        """Refuse: a process is run from a folder."""
        raise ImageNotFound(
            f"the process runtime cannot run the image {reference}: it runs a command in a folder",
            hint="start a Docker engine, or give the app's command in the settings",
        )

    def remove_image(self, reference: str) -> None:
        """Nothing to remove: no image was made."""

    def keep_image(self, image: Image, reference: str, *, named: bool) -> Image:
        """Nothing to keep: what runs is a folder."""
        del reference, named
        return image

    def let_go(self, reference: str) -> None:
        """Nothing was kept."""

    def open_network(self, private: Private, labels: Mapping[str, str]) -> str | None:
        """None: processes share this machine's network."""
        del private, labels
        return None

    def can_close(self) -> str | None:
        """Never."""
        return "a local process shares this machine's network"

    def image_environment(self, image: Image) -> Mapping[str, str]:
        """None: what runs is a folder."""
        del image
        return {}

    def host_address(self) -> HostAddress:
        """See Runtime.host_address: this machine is its own."""
        return HostAddress(name=LOOPBACK, bind=LOOPBACK)

    def start(self, spec: CandidateSpec) -> Candidate:
        """See Runtime.start."""
        directory = self._directory(spec.name)
        if not spec.command or spec.working_directory is None:
            raise LaunchFailed(
                f"{spec.name} has no command and folder to run as a process",
                hint="give the app's command in the settings, or start a Docker engine",
            )
        if not spec.working_directory.is_dir():
            raise LaunchFailed(f"{spec.name} cannot run in {spec.working_directory}: there is no such folder")
        with alone_in(self.folder) as lock:
            known = self._known(directory)
            before = known["port"] if known else None
            if known is not None and (known["fingerprint"] != fingerprint(spec) or not _lives(directory)):
                # Under the lock, though it may take seconds: a second starter would end what the first just began.
                self._end(directory)
                known = None
            if known is None:
                port = self._port(spec, before)
                directory.mkdir(mode=0o700, exist_ok=True)
                facts = {"fingerprint": fingerprint(spec), "port": port, "labels": dict(spec.labels)}
                supervise.write_atomically(directory / "spec.json", facts)
                self._launch(spec, directory, port, lock)
            else:
                port = int(known["port"])
        with alone_in(self.folder):
            pass  # the supervisor has let go of the lock: it has written what runs, or how it failed
        self._wait(spec, directory, port)
        candidate = self.observe(spec.name)
        if candidate is None:
            raise LaunchFailed(f"{spec.name} was removed while it started", hint="do it again")
        return candidate

    def sleep(self, name: str) -> None:
        """See Runtime.sleep: the folder stays, so that nobody else is given its port."""
        directory = self._directory(name)
        if not directory.exists():
            return
        with alone_in(self.folder):
            if self._known(directory) is not None:
                self._end(directory, keep=True)

    def wake(self, name: str, health: HealthCheck, make: Callable[[], CandidateSpec]) -> Candidate:  # noqa: ARG002
        """See Runtime.wake."""
        return self.start(replace(make(), health=health))

    def run(self, spec: TaskSpec, say: Callable[[str], None]) -> None:
        """See Runtime.run."""
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment = {**inherited, "PYTHONUNBUFFERED": "1", **spec.environment}
        with only_one(self._directory(spec.name)) as held:
            run_process(spec, environment, say, held=held)

    def observe(self, name: str) -> Candidate | None:
        """See Runtime.observe."""
        directory = self._directory(name)
        facts = self._known(directory)
        if facts is None:
            return None
        lives = _lives(directory)
        app = _read(directory / "running.json").get("app", [0])
        return Candidate(
            name=name,
            id=str(app[0]),
            url=f"http://{LOOPBACK}:{facts['port']}",
            state="running" if lives else "exited",
            exit_code=None if lives else _read(directory / "exit.json").get("code"),
            labels=facts["labels"],
        )

    def logs(
        self, name: str, *, tail: int = 100, follow: bool = False, ending: Ending | None = None
    ) -> Iterator[str]:
        """See Runtime.logs."""
        directory = self._directory(name)
        if self._known(directory) is None:
            raise UnknownCandidate(f"no process of ours is named {name}")

        def lives() -> bool:
            return not (ending and ending.over) and _lives(directory)

        return log_lines(directory, tail=tail, lives=lives if follow else None)

    def stop(self, name: str) -> None:
        """See Runtime.stop: SIGTERM, then SIGKILL, to the whole process group."""
        directory = self._directory(name)
        if not directory.exists():
            return
        # Under the lock: what somebody who was killed while starting left behind has written itself down by then.
        with alone_in(self.folder):
            if self._known(directory) is not None:
                self._end(directory)
            else:  # a command's, killed with its starter: wait for its end; or nobody's
                with only_one(directory):
                    pass

    def list(self, labels: Mapping[str, str]) -> tuple[Candidate, ...]:
        """See Runtime.list."""
        names = sorted(path.parent.name for path in self.folder.glob("*/spec.json"))
        found = (self.observe(name) for name in names)
        return tuple(c for c in found if c and all(c.labels.get(k) == v for k, v in labels.items()))

    def belongings(self) -> tuple[Belonging, ...]:
        """See Runtime.belongings; a folder without a candidate is a command's, or what a dead starter left."""
        found = []
        for each in folders(self.folder):
            seen = self.observe(each.name)
            if seen is None:
                found.append(each)
            else:
                found.append(replace(each, what="process", labels=seen.labels, state=seen.state))
        return tuple(found)

    def remove_belonging(self, thing: Belonging) -> None:
        """See Runtime.remove_belonging."""
        self.stop(thing.name)

    @staticmethod
    def _end(directory: Path, *, keep: bool = False) -> None:
        """End what runs there and, unless `keep`, remove the folder; the lock is held."""
        running = _read(directory / "running.json")
        app, supervisor = running.get("app", [0, None]), running.get("supervisor", [0, None])
        for sent in (signal.SIGTERM, signal.SIGKILL):
            if not _is(app):
                break
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(app[0], sent)
            _until(lambda: not _is(app), seconds=_GRACE_SECONDS)
        # The supervisor ends by itself right after the app; one that hangs must not keep the folder.
        if not _until(lambda: not _is(supervisor), seconds=_GRACE_SECONDS):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(supervisor[0], signal.SIGKILL)
        if not _until(lambda: not _is(app) and not _is(supervisor), seconds=_GRACE_SECONDS):
            raise LaunchFailed(f"process {app[0]} of {directory.name} does not end", hint="end it by hand")
        if keep:
            return
        shutil.rmtree(directory, ignore_errors=True)
        if directory.exists():
            raise LaunchFailed(f"the folder {directory} cannot be removed", hint="remove it by hand")

    def _directory(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise LaunchFailed(f"'{name[:80]}' cannot be a process's name", hint="use letters, digits, - _ .")
        return self.folder / name

    @staticmethod
    def _known(directory: Path) -> Any:
        return _read(directory / "spec.json") or None

    def _port(self, spec: CandidateSpec, before: int | None) -> int:
        """A port to listen on: the one that is asked for, else the one it had before, else a free one."""
        if spec.host_port is not None:
            if is_free(spec.host_port):
                return spec.host_port
            raise PortInUse(
                f"port {spec.host_port} on 127.0.0.1 is in use, so {spec.name} cannot listen there",
                hint="end what listens there, or give another port",
            )
        # A candidate that was just started may not listen yet, so its port still looks free.
        promised = {_read(path).get("port") for path in self.folder.glob("*/spec.json")}
        if before is not None and before not in promised and is_free(before):
            return before
        port = next((port for port in free_ports(spec.name) if port not in promised), None)
        if port is None:
            raise PortInUse(
                "no port between 20000 and 32767 is free on 127.0.0.1", hint="end what listens there"
            )
        return port

    def _launch(self, spec: CandidateSpec, directory: Path, port: int, lock: int) -> None:
        inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        own = {"PORT": str(port), "PREVIEW_URL": f"http://{LOOPBACK}:{port}", "PYTHONUNBUFFERED": "1"}
        environment = {**inherited, **own, **spec.environment}
        program, *arguments = (word.replace("{port}", environment["PORT"]) for word in spec.command)
        if program in ("python", "python3"):
            program = sys.executable
        try:
            subprocess.run(
                [
                    *(sys.executable, "-I", supervise.__file__, str(directory), str(spec.working_directory)),
                    *(str(lock), "--", program, *arguments),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock,),
                check=True,
            )
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            shutil.rmtree(directory, ignore_errors=True)
            # `from None`: the error's own text would show the argument list.
            raise LaunchFailed(f"{spec.name}'s supervisor cannot start ({type(error).__name__})") from None

    def _wait(self, spec: CandidateSpec, directory: Path, port: int) -> None:
        seen = wait_until_healthy(port, spec.health, lambda: _ended(directory))
        if seen.healthy:
            return
        ended = _read(directory / "exit.json")
        if ended.get("code") == 127 and "why" in ended:
            with alone_in(self.folder):
                # Somebody else may have begun anew meanwhile: what lives now is not ours to remove.
                if _read(directory / "exit.json") == ended and not _lives(directory):
                    self._end(directory)
            raise LaunchFailed(
                f"{spec.name}'s command cannot be run: {ended['why']}", hint="see the settings' command"
            )
        tail = tail_of(last_heads(log_pieces(directory, tail=TAIL_LINES)), spec.environment)
        if _ended(directory) is not None:
            raise Unhealthy(
                f"{spec.name} {seen.status} before it was healthy",
                status=seen.status,
                hint="its last lines are in the log's tail",
                log_tail=tail,
            )
        raise Unhealthy(
            f"{spec.name} was not healthy within {spec.health.timeout_seconds:g} s: "
            f"GET {spec.health.path} on port {port}: {seen.status}",
            status=seen.status,
            hint="it answers, but not with 2xx or 3xx: its last lines, in the log's tail, may say why"
            if seen.status.startswith("HTTP ")
            else "the app has to listen on 127.0.0.1, on the port that PORT names",
            log_tail=tail,
        )


def _read(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when there is none (files are replaced as a whole, so none is half written)."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _is(who: Any) -> bool:
    """Whether [pid, birth] is still that very process."""
    return bool(who) and who[1] is not None and supervise.birth(who[0]) == who[1]


def _lives(directory: Path) -> bool:
    return _is(_read(directory / "running.json").get("app"))


def _ended(directory: Path) -> str | None:
    """How the app ended, fit for a sentence; None while it lives."""
    if _lives(directory):
        return None
    supervisor = _read(directory / "running.json").get("supervisor")
    _until(lambda: "code" in _read(directory / "exit.json") or not _is(supervisor), seconds=_GRACE_SECONDS)
    code = _read(directory / "exit.json").get("code")
    if code is None:
        return "ended, nobody saw how"
    return f"exited with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def _until(true: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until it holds, at most so long; whether it held."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
