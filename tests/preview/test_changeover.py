"""Two versions that fit no common ground change places: visitors wait, none fails; what goes wrong is taken back."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from preview import HealthCheck, Unhealthy, changeover
from preview.edge import Edge
from preview.holding import NOBODY, read, write
from preview.rollout import Rollout
from tests.preview.conftest import Bench
from tests.preview.test_rollout import Load, Production, free_port

#: Serves only on the ground of its own version, on every page.
APP = textwrap.dedent(
    """
    import http.server, os
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with open(os.environ["GROUND"]) as ground:
                fits = ground.read() == os.environ["VERSION"] and not os.environ.get("SICK")
            body = os.environ["VERSION"].encode()
            self.send_response(200 if fits else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        do_POST = do_GET
        def log_message(self, *args):
            pass
    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128
    Server(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
    """
)


class Ground:
    """What both versions stand on, and how a change of it goes."""

    rescue: tuple[str, ...] = ()

    def __init__(self, file: Path, *refused: BaseException | bool) -> None:
        self.file = file
        self.refused = list(refused)
        self.looked = 0
        self.set("one")

    def set(self, version: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(version)
        new.replace(self.file)

    def ready(self) -> None:
        self.looked += 1

    def act(self, tell: Callable[[str], None]) -> bool:
        if self.refused:
            refusal = self.refused.pop(0)
            if isinstance(refusal, BaseException):
                raise refusal
            return False
        tell("about to change it")
        self.set("two")
        return True

    def undo(self) -> None:
        self.set("one")


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    made = Edge(tmp_path / "releases", f"127.0.0.1:{free_port()}")
    yield made
    made.stop()


@pytest.fixture
def production(process_bench: Bench, edge: Edge, tmp_path: Path) -> Iterator[Production]:
    (tmp_path / "app" / "app.py").write_text(APP)
    (tmp_path / "ground").write_text("one")
    health = HealthCheck(timeout_seconds=60, interval_seconds=0.05)
    made = Production(process_bench.runtime, process_bench.spec(health=health), edge)
    made.drain_seconds = 1.0
    made.put("one", GROUND=str(tmp_path / "ground"))
    yield made
    for name in made.running():
        process_bench.runtime.stop(name)


def change(production: Production, ground: Ground, **environment: str) -> None:
    spec = production.of("two", GROUND=str(ground.file), **environment)
    production.rollout().put(production.release("two"), spec, production.said.append, ground)


def test_no_request_fails_though_neither_version_fits_both_sides(
    production: Production, tmp_path: Path
) -> None:
    ground = Ground(tmp_path / "ground")
    with Load(production.edge.address, "/", lambda body: body, b"a body") as load:
        load.until("one", 100)
        change(production, ground)
        load.until("two", 100)
    assert load.failures == []
    assert production.running() == ["preview-release-k1-two"]
    assert ground.looked == 1


def test_what_was_healthy_before_the_change_is_asked_again(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that is begun early counts only when its answer came after the change."""
    monkeypatch.setattr(changeover, "HELD_SECONDS", 0.5)

    class Wrong(Ground):
        def act(self, tell: Callable[[str], None]) -> bool:
            self.set("two")
            tell("fits, for a moment")
            for each in threading.enumerate():
                if each.name == "early look":
                    each.join()
            self.set("three")
            return True

    ground = Wrong(tmp_path / "ground")
    with pytest.raises(Unhealthy):
        change(production, ground)
    assert ground.file.read_text() == "one"
    assert production.ask() == (200, "one")


def test_while_somebody_is_in_the_way_visitors_are_served(production: Production, tmp_path: Path) -> None:
    served: list[tuple[int, str]] = []

    class Busy(Ground):
        def ready(self) -> None:
            super().ready()
            served.append(production.ask())

    ground = Busy(tmp_path / "ground", False, False)
    change(production, ground)
    assert served == [(200, "one")] * 3
    assert production.ask() == (200, "two")


def test_a_version_that_is_not_healthy_on_the_new_ground_is_taken_back_with_it(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changeover, "HELD_SECONDS", 0.3)
    ground = Ground(tmp_path / "ground")
    with pytest.raises(Unhealthy):
        change(production, ground, SICK="1")
    assert ground.file.read_text() == "one"
    assert production.ask() == (200, "one")
    assert production.running() == ["preview-release-k1-one"]


def test_a_change_that_fails_leaves_the_earlier_version_serving(
    production: Production, tmp_path: Path
) -> None:
    ground = Ground(tmp_path / "ground", KeyError("no"))
    with pytest.raises(KeyError):
        change(production, ground)
    assert production.ask() == (200, "one")
    assert production.running() == ["preview-release-k1-one"]
    assert read(production.edge.folder) != NOBODY


def test_ctrl_c_between_the_versions_takes_the_change_back(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = Ground(tmp_path / "ground")

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(changeover.ChangeOver, "_send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        change(production, ground)
    assert ground.file.read_text() == "one"
    assert production.ask() == (200, "one")


def test_a_version_that_visitors_do_not_reach_is_taken_back_with_the_change(
    production: Production, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = Ground(tmp_path / "ground")

    def unreached(*_: object) -> None:
        raise Unhealthy("not through the address", status="502")

    monkeypatch.setattr(Rollout, "_ask", unreached)
    with pytest.raises(Unhealthy):
        change(production, ground)
    assert ground.file.read_text() == "one"
    assert production.ask() == (200, "one")


def test_visitors_go_on_when_whoever_held_them_is_killed(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1:1")
    held = "import sys; from pathlib import Path; from preview.edge import Edge\n"
    held += "with Edge(Path(sys.argv[1]), '127.0.0.1:2').held(60):\n    print('held', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", held, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    assert read(tmp_path) == NOBODY
    child.kill()
    child.communicate()
    waited = threading.Event()
    while read(tmp_path) == NOBODY:
        waited.wait(0.01)
    assert read(tmp_path) == "127.0.0.1:1"


def test_when_whoever_held_them_is_killed_what_was_changed_is_taken_back_first(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1:1")
    rescue = tmp_path / "rescue.py"
    rescue.write_text(
        "import sys\nfrom pathlib import Path\nhere = Path(sys.argv[1])\n"
        "seen = (here / 'upstream').read_text()\n(here / 'seen').write_text(seen + '|' + sys.stdin.read())\n"
    )
    held = "import sys; from pathlib import Path; from preview.edge import Edge\n"
    held += "rescue = (sys.executable, '-I', sys.argv[2], sys.argv[1])\n"
    held += "with Edge(Path(sys.argv[1]), '127.0.0.1:2').held(60, rescue) as tell:\n"
    held += "    if len(sys.argv) > 3:\n        tell(sys.argv[3])\n    print('held', flush=True); sys.stdin.read()"
    waited = threading.Event()
    for order in ([], ["take it back"]):
        child = subprocess.Popen(
            [sys.executable, "-c", held, str(tmp_path), str(rescue), *order],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        child.kill()
        child.communicate()
        while read(tmp_path) == NOBODY:
            waited.wait(0.01)
        assert read(tmp_path) == "127.0.0.1:1"
        # What was told nothing has nothing to take back.
        assert (tmp_path / "seen").exists() == bool(order)
    assert (tmp_path / "seen").read_text() == f"{NOBODY}|take it back\n"


def test_who_is_killed_when_his_time_is_over_has_it_taken_back_too(tmp_path: Path) -> None:
    """Its own way back may take longer than visitors wait: they are with the earlier version, which needs it."""
    write(tmp_path, "127.0.0.1:1")
    ran = tmp_path / "ran"
    held = "import sys; from pathlib import Path; from preview.edge import Edge\n"
    held += "rescue = (sys.executable, '-I', '-c', 'import sys; open(sys.argv[1], chr(119)).write(sys.stdin.read())')\n"
    held += "with Edge(Path(sys.argv[1]), '127.0.0.1:2').held(0.05, (*rescue, sys.argv[2])) as tell:\n"
    held += "    tell('take it back')\n    print('held', flush=True); sys.stdin.read()"
    waited = threading.Event()
    child = subprocess.Popen(
        [sys.executable, "-c", held, str(tmp_path), str(ran)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    while read(tmp_path) == NOBODY:
        waited.wait(0.01)
    assert read(tmp_path) == "127.0.0.1:1"
    child.kill()
    child.communicate()
    while not ran.exists() or not ran.read_text():
        waited.wait(0.01)
    assert ran.read_text() == "take it back\n"


@pytest.mark.parametrize("late", [False, True])
def test_who_is_stopped_while_they_wait_is_ended_and_it_is_taken_back(tmp_path: Path, late: bool) -> None:
    """Ctrl-Z, SIGSTOP: nobody knows when he would go on; they have what they need meanwhile, and find it once more."""
    write(tmp_path, "127.0.0.1:1")
    ran = tmp_path / "ran"
    held = "import os, signal, sys; from pathlib import Path; from preview.edge import Edge\n"
    held += "write = 'import sys; open(sys.argv[1], chr(119)).write(sys.stdin.read())'\n"
    held += "rescue = (sys.executable, '-I', '-c', write, sys.argv[2])\n"
    held += "with Edge(Path(sys.argv[1]), '127.0.0.1:2').held(0.05, rescue) as tell:\n"
    held += "    tell('take it back')\n    print('held', flush=True)\n"
    held += "    if len(sys.argv) > 3:\n        sys.stdin.readline()\n"
    held += "    os.kill(os.getpid(), signal.SIGSTOP)\n    Path(sys.argv[2]).write_text('went on')"
    child = subprocess.Popen(
        [sys.executable, "-c", held, str(tmp_path), str(ran), *(["late"] if late else [])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    waited = threading.Event()
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    if late:  # beyond his time, over his own way back
        while read(tmp_path) != "127.0.0.1:1":
            waited.wait(0.01)
    child.communicate(b"go on\n")
    assert child.returncode == -signal.SIGKILL
    while not ran.exists() or not ran.read_text():
        waited.wait(0.01)
    assert ran.read_text() == "take it back\n"
    while read(tmp_path) == NOBODY:
        waited.wait(0.01)
    assert read(tmp_path) == "127.0.0.1:1"


def test_who_is_stopped_and_has_changed_nothing_lives(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1:1")
    held = "import os, signal, sys; from pathlib import Path; from preview.edge import Edge\n"
    held += (
        "with Edge(Path(sys.argv[1]), '127.0.0.1:2').held(0.05):\n    os.kill(os.getpid(), signal.SIGSTOP)"
    )
    child = subprocess.Popen([sys.executable, "-c", held, str(tmp_path)])
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    waited = threading.Event()
    while read(tmp_path) == NOBODY:
        waited.wait(0.01)
    child.send_signal(signal.SIGCONT)
    assert child.wait() == 0
    assert read(tmp_path) == "127.0.0.1:1"


def test_whoever_held_them_and_lives_takes_back_himself(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1:1")
    rescue = (sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with Edge(tmp_path, "127.0.0.1:2").held(60, rescue) as tell:
        tell("an order")
    assert read(tmp_path) == "127.0.0.1:1"
    assert not (tmp_path / "ran").exists()


def test_nobody_waits_longer_than_was_said(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1:1")
    waited = threading.Event()
    with Edge(tmp_path, "127.0.0.1:2").held(0.05):
        while read(tmp_path) == NOBODY:
            waited.wait(0.01)
        assert read(tmp_path) == "127.0.0.1:1"


def test_a_target_that_was_given_meanwhile_stays(tmp_path: Path) -> None:
    edge = Edge(tmp_path, "127.0.0.1:2")
    write(tmp_path, "127.0.0.1:1")
    with edge.held(60):
        edge.point("127.0.0.1:3")
    assert edge.target == "127.0.0.1:3"
