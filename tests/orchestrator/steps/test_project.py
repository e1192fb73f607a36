"""How patient a project is with its branches: as with a cold compute, but once only."""

import contextlib
import time
from typing import Any

import pytest

from orchestrator.errors import DatabaseUnreachable
from orchestrator.steps import project
from orchestrator.steps.project import AWAY_SECONDS, COLD_SECONDS, NeonProject

pytestmark = pytest.mark.usefixtures("clock")


class Away(NeonProject):
    """A project without a Neon: connecting is what is looked at."""

    def uri(self, branch_id: str) -> Any:
        return self

    def reveal(self) -> str:
        return "postgresql://nowhere/x"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def away() -> Away:
    return Away(neon=None, id="p", key="embedded/p", database="shop")  # type: ignore[arg-type]


def test_what_did_not_answer_in_all_its_time_is_not_waited_for_as_long_again(
    away: Away, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited, there, at_once = [], [False], [False]

    def connect(_uri: str, *, patience_seconds: float, **_more: object) -> object:
        waited.append(patience_seconds)
        if there[0]:
            return object()
        clock[0] += 0 if at_once[0] else patience_seconds
        raise DatabaseUnreachable("nobody answers")

    def ask(branch: str) -> None:
        with contextlib.suppress(DatabaseUnreachable):
            away.connect_reading(branch, "test")

    monkeypatch.setattr(project, "connect", connect)
    at_once[0] = True
    ask("br-main")  # it answered, and said no
    at_once[0] = False
    for branch in ("br-main", "br-main", "br-other", "br-main"):
        ask(branch)
    there[0] = True
    ask("br-main")
    ask("br-main")
    cold, short = COLD_SECONDS, AWAY_SECONDS
    assert waited == [cold, cold, short, cold, short, short, cold]
