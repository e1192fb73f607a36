"""Fault points: off they are not there; on they record, kill and break; and every effect's door has them."""

import ast
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import faults
from orchestrator.database import connect
from preview import Runtime

ROOT = Path(__file__).resolve().parents[2]

#: Where the doors are: nobody else opens a connection, a client or a runtime, so all effects pass the points.
DOORS = {
    "psycopg.connect": {
        "orchestrator/database.py",
        "orchestrator/postgres/taking_back.py",
    },  # a program beside us, for when we were killed; its one act is a transaction
    "NeonClient": {"orchestrator/opening.py"},
    "open_runtime": {
        "orchestrator/opening.py",
        "orchestrator/cli/demo.py",
    },  # the demo only looks for its image
}


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def give(text: str) -> None:
        monkeypatch.setenv(faults.VARIABLE, text)
        faults._order.cache_clear()
        faults._passed.clear()

    yield give  # type: ignore[misc]
    faults._order.cache_clear()
    faults._passed.clear()


def test_every_effect_goes_through_a_door() -> None:
    opened: dict[str, set[str]] = {door: set() for door in DOORS}
    for file in (ROOT / "orchestrator").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (door := ast.unparse(node.func)) in opened:
                opened[door].add(str(file.relative_to(ROOT)))
            elif isinstance(node, ast.Attribute) and ast.unparse(node) in opened:
                opened[ast.unparse(node)].add(str(file.relative_to(ROOT)))
    opened["open_runtime"] = {
        file
        for file in opened["open_runtime"]
        if "from preview import open_runtime" in (ROOT / file).read_text()
    }
    assert opened == DOORS


def test_every_verb_of_a_runtime_is_a_point_or_a_look() -> None:
    verbs = {name for name in vars(Runtime) if not name.startswith("_")}
    looks = {"kind", "available", "can_close", "image_environment", "host_address", "observe", "logs", "list"}
    assert verbs - looks - {"belongings"} == faults.RUNTIME_VERBS


def test_off_it_costs_a_look_and_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(faults.VARIABLE, raising=False)
    faults._order.cache_clear()
    assert not faults.active()
    assert faults.around("x", lambda: 1, RuntimeError) == 1


def test_it_records_what_can_be_ordered(order: Callable[[str], None], tmp_path: Path) -> None:
    order(f"record {tmp_path / 'points'}")
    for _ in range(2):
        faults.around("docker start", lambda: None, RuntimeError)
    assert faults.recorded(tmp_path / "points") == (
        *("docker start before#1", "docker start after#1"),
        *("docker start before#2", "docker start after#2"),
    )


@pytest.mark.parametrize(("where", "done"), [("before", []), ("after", ["done"])])
def test_it_breaks_an_effect_before_it_began_or_after_it_was_done(
    order: Callable[[str], None], where: str, done: list[str]
) -> None:
    order(f"error docker start {where}#2")
    seen: list[str] = []
    faults.around("docker start", lambda: None, RuntimeError)
    with pytest.raises(RuntimeError, match="planted at docker start"):
        faults.around("docker start", lambda: seen.append("done"), RuntimeError)
    assert seen == done


@pytest.mark.parametrize("act", ["kill", "stop"])
def test_it_kills_exactly_there_or_stops(order: Callable[[str], None], tmp_path: Path, act: str) -> None:
    child = os.fork()
    if child == 0:
        order(f"{act} thing before")
        (tmp_path / "reached").touch()
        faults.around("thing", (tmp_path / "passed").touch, RuntimeError)
        os._exit(0)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert [each.name for each in tmp_path.iterdir()] == ["reached"]
    if act == "stop":
        assert os.WSTOPSIG(status) == signal.SIGSTOP
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert (tmp_path / "passed").exists()
    else:
        assert os.WTERMSIG(status) == signal.SIGKILL


def test_statements_that_change_something_are_points_and_looks_are_not(
    order: Callable[[str], None], store_uri: str, tmp_path: Path
) -> None:
    order(f"record {tmp_path / 'points'}")
    with connect(store_uri, purpose="promote pr-1") as connection:
        connection.execute("select 1")
        connection.execute("create temporary table t (a integer)")
        assert connection.execute("select count(*) from t").fetchone() == (0,)
    assert faults.recorded(tmp_path / "points") == (
        "sql promote pr-1: create temporary table before#1",
        "sql promote pr-1: create temporary table after#1",
    )


@pytest.mark.parametrize("wrong", ["kill", "maim x", "record"])
def test_an_order_that_nobody_understands_is_not_ignored(order: Callable[[str], None], wrong: str) -> None:
    order(wrong)
    with pytest.raises(ValueError, match="PREVIEW_FAULT is"):
        faults.active()
