"""With a server set, every command goes to it or says in a line why not; none does its work here unasked."""

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main

from orchestrator.cli import app as cli
from orchestrator.errors import PromotionUnderWay, Refused
from orchestrator.remote import rooms

#: What is typed, and what becomes of it: ``asked``: the server is; ``refused``: a line says why not; ``here``: it is
#: about this machine whatever is set, or it changes nothing of a project.
COMMANDS = {
    "init": ("--neon embedded", "here"),
    "doctor": ("--server", "asked"),
    "plan": ("", "refused"),
    "up": ("pr-1 --image app:1", "asked"),
    "answer": ("pr-1 a=b", "asked"),
    "list": ("", "asked"),
    "show": ("pr-1", "asked"),
    "logs": ("pr-1", "asked"),
    "psql": ("pr-1", "refused"),
    "open": ("pr-1", "asked"),
    "discard": ("pr-1", "asked"),
    "gateway": ("--show-config", "refused"),
    "share": ("pr-1", "asked"),
    "sleep": ("pr-1", "asked"),
    "wake": ("pr-1", "asked"),
    "extend": ("pr-1 --for 1d", "asked"),
    "keep": ("pr-1", "asked"),
    "restore": ("pr-1", "asked"),
    "sweep": ("", "asked"),
    "reconcile": ("", "asked"),
    "mail": ("pr-1", "asked"),
    "promote": ("pr-1", "asked"),
    "rebase": ("pr-1", "asked"),
    "revert": ("--yes", "asked"),
    "history": ("", "asked"),
    "release status": ("", "refused"),
    "release start": ("", "refused"),
    "release stop": ("--yes", "refused"),
    "release logs": ("", "refused"),
    "report": ("pr-1", "asked"),
    "approve": ("pr-1", "asked"),
    "serve": ("", "refused"),
    "worker": ("", "refused"),
    "token create": ("ada", "asked"),
    "token list": ("", "asked"),
    "token revoke": ("0a0a0a0a", "asked"),
    "dashboard": ("--no-browser", "here"),
    "notify": ("", "refused"),
    "demo": ("", "here"),
}
#: Not run here: they make what they are asked for on this machine, and have tests of their own.
_MAKING = {"init", "demo"}


def leaves(command: object, path: str = "") -> set[str]:
    if commands := getattr(command, "commands", None):
        return {leaf for name, each in commands.items() for leaf in leaves(each, f"{path} {name}".strip())}
    return {path}


def test_every_command_stands_in_the_table() -> None:
    assert leaves(typer.main.get_command(cli.app)) == set(COMMANDS)


class _Refusing(BaseHTTPRequestHandler):
    """A server that knows nobody."""

    asked: list[str]

    def _any(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("content-length") or 0))
        said = {"kind": "NotRecognised", "message": "the token is not known", "hint": "", "detail": ""}
        body = json.dumps({"error": {**said, "exit_code": 4}}).encode()
        self.send_response(401)
        self.send_header("preview-api", "1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - http.server's names

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """What a server is asked by the commands of a folder without preview.toml, store or key."""
    requests: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (_Refusing,), {"asked": requests}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("PREVIEW_SERVER", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("PREVIEW_TOKEN", "preview_viewer_00000000_" + "0" * 64)
    monkeypatch.setenv("PREVIEW_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield requests
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - _MAKING))
def test_a_command_asks_the_server_or_says_why_not(
    command: str,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    words, what = COMMANDS[command]
    monkeypatch.setattr("sys.argv", ["preview", *command.split(), *words.split()])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capfd.readouterr()
    if what == "asked":
        assert asked, said
        assert end.value.code == (1 if command == "doctor" else 4), said
        assert "the token is not known" in said.out + said.err
    elif what == "refused":
        assert end.value.code == 2
        lines = said.err.strip().splitlines()
        assert "the server's own machine" in lines[0]
        assert "PREVIEW_SERVER" in lines[0]
        assert asked == []
    assert not (tmp_path / "home").exists(), "something was made on this machine"


def test_whoever_waits_for_his_turn_promotes_what_he_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for anew each time that somebody else had the turn; the preview may be another one by then."""
    sent: list[object] = []
    looks = iter(["a" * 64, "b" * 64])

    def follow(_wire: object, act: str, name: str, arguments: Mapping[str, Any], _observer: object) -> Any:
        sent.append((act, name, arguments["looked_at"]))
        if len(sent) < 3:
            raise PromotionUnderWay("somebody has it")
        raise Refused("it is not what it was")

    monkeypatch.setattr(rooms, "follow", follow)
    wire = SimpleNamespace(get=lambda _path: {"looked_at": next(looks)})
    with pytest.raises(Refused, match="not what it was"):
        rooms.RemoteRooms(wire, None, None).promote(  # type: ignore[arg-type]
            "pr-1", allow=[], keep=False, wait=lambda _holder: True
        )
    assert sent == [("promote", "pr-1", "a" * 64)] * 3
