"""What a server logs: JSON lines, preview and step on each line of a step, no secret on any."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from neon_client import ConnectionURI, Secret
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.logs import Logged, set_up

PASSWORD = "npg_Xk3vQ9wLm2Rt"
URI = f"postgresql://owner:{PASSWORD}@db.example.com:5432/shop"


class Told:
    """An observer that remembers what it was told."""

    def __init__(self) -> None:
        self.what: list[str] = []

    def started(self, preview: Preview) -> None:
        self.what.append("started")

    def detail(self, text: str) -> None:
        self.what.append(f"detail {text}")

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        self.what.append("finished")

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        self.what.append("failed")


def in_state(state: State) -> Preview:
    now = datetime.now(UTC)
    return Preview(
        id="0a0a0a0a",
        name="pr-1",
        project="embedded/p-1",
        wanted=Wanted.READY,
        state=state,
        facts={},
        error=None,
        created_by="ada",
        created_at=now,
        updated_at=now,
        expires_at=None,
    )


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, as it was afterwards."""
    found = logging.getLogger()
    before, level = found.handlers, found.level
    yield found
    found.handlers, found.level = before, level


class Log:
    """What was logged since the last time."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        said = self.stream.getvalue()
        self.stream.seek(0)
        self.stream.truncate()
        return said

    def __call__(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()
    monkeypatch.setattr("sys.stderr", made.stream)
    set_up()
    return made


def test_every_line_of_a_step_says_whose_and_which(log: Log) -> None:
    told = Told()
    logged = Logged(told, {"job": "j-1", "act": "up", "who": "ada"})
    logged.started(in_state(State.BRANCHING))
    logged.detail("a detail is for whoever follows")
    logged.finished(in_state(State.MIGRATING), State.BRANCHING, "", 12.345)
    logged.failed(in_state(State.FAILED), State.MIGRATING, f"no connection to {URI}", 3.0)
    lines = log()
    assert [(each["event"], each["step"], each["level"]) for each in lines] == [
        ("begins", "branching", "info"),
        ("done", "branching", "info"),
        ("no connection to postgresql://owner:***@db.example.com:5432/shop", "migrating", "warning"),
    ]
    for line in lines:
        assert (line["preview"], line["preview_id"], line["job"], line["who"]) == (
            "pr-1",
            "0a0a0a0a",
            "j-1",
            "ada",
        )
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None
    assert lines[1]["milliseconds"] == 12.3
    assert told.what == ["started", "detail a detail is for whoever follows", "finished", "failed"]


def test_what_stood_on_a_line_of_a_step_stands_on_no_other(log: Log) -> None:
    Logged(Told(), {"job": "j-1"}).started(in_state(State.BRANCHING))
    logging.getLogger("preview.worker").info("something else")
    assert "preview" not in log()[1]


@pytest.mark.parametrize(
    "value",
    [
        Secret(PASSWORD),
        ConnectionURI(URI),
        URI,
        {
            "uri": ConnectionURI(URI),
            "deep": [Secret(PASSWORD), (URI,), {"and": {"deeper": Secret(PASSWORD)}}],
        },
        frozenset({URI}),
        ValueError(f"cannot connect to {URI}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_secret_gets_out_whatever_it_is_in(log: Log, value: Any) -> None:
    import structlog

    with structlog.contextvars.bound_contextvars(value=value):
        logging.getLogger("preview.jobs").warning("here: %s", value)
    said = log.text
    assert PASSWORD not in said
    assert len(said.splitlines()) == 1


def test_an_exceptions_text_is_cleaned_too(log: Log) -> None:
    try:
        raise ValueError(f"cannot connect to {URI}")
    except ValueError:
        logging.getLogger("preview.jobs").exception("unexpected")
    [line] = log()
    assert PASSWORD not in json.dumps(line)
    assert "ValueError" in line["exception"]


def test_set_up_again_writes_nothing_twice(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", log.stream)
    set_up()
    set_up()
    logging.getLogger("preview.jobs").info("once")
    assert len(log()) == 1


def test_other_peoples_chatter_is_left_out(log: Log) -> None:
    for noisy in ("httpx", "procrastinate", "docker", "uvicorn"):
        logging.getLogger(noisy).info("chatter")
    assert log() == []
