"""The reconciler: runs the step of the reached state, records, and rests where a person is needed."""

from collections.abc import Callable

import pytest

from orchestrator.errors import OrchestratorError, Refused, StepFailed
from orchestrator.lifecycle import Advance, Engine, Next, Preview, Rest, State, Store, Wanted


class Seen:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, preview: Preview) -> None:
        self.lines.append(f"started {preview.state}")

    def detail(self, text: str) -> None:
        self.lines.append(text)

    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None:
        self.lines.append(f"finished {state} -> {preview.state}")

    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None:
        self.lines.append(f"failed {state} -> {preview.state}: {message}")


class Does:
    """A step that does what it is told."""

    def __init__(self, what: Callable[[Preview], Next]) -> None:
        self.what = what
        self.runs = 0

    def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
        self.runs += 1
        return self.what(preview)


def raising(error: Exception) -> Callable[[Preview], Next]:
    def run(_preview: Preview) -> Next:
        raise error

    return run


def steps(**changed: Callable[[Preview], Next]) -> dict[State, Does]:
    found: dict[State, Callable[[Preview], Next]] = {
        State.BRANCHING: lambda _: Advance(to=State.MIGRATING, facts={"branch": "br"}),
        State.MIGRATING: lambda _: Advance(to=State.LAUNCHING),
        State.LAUNCHING: lambda _: Advance(to=State.CHECKING, facts={"url": "http://x"}),
        State.CHECKING: lambda _: Rest(to=State.READY),
        State.PROMOTING: lambda _: Rest(to=State.PROMOTED),
        State.DISCARDING: lambda _: Rest(to=State.CLOSED, facts={"url": None}),
    }
    found.update({State(name): run for name, run in changed.items()})
    return {state: Does(run) for state, run in found.items()}


def make(store: Store) -> Preview:
    return store.create(name="pr-1", project="p", facts={})


def run(store: Store, preview: Preview, todo: dict[State, Does], seen: Seen | None = None) -> Preview:
    with store.lease(preview.id) as lease:
        return Engine(store, todo, seen or Seen()).run_until_rest(lease)


def test_a_preview_goes_through_every_state_to_ready(store: Store) -> None:
    seen = Seen()

    ready = run(store, make(store), steps(), seen)

    assert ready.state is State.READY
    assert ready.facts == {"branch": "br", "url": "http://x"}
    assert [line for line in seen.lines if line.startswith("finished")] == [
        "finished branching -> migrating",
        "finished migrating -> launching",
        "finished launching -> checking",
        "finished checking -> ready",
    ]


def test_it_goes_on_where_a_dead_run_stopped(store: Store) -> None:
    preview = make(store)
    dying = steps(launching=raising(KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        run(store, preview, dying)
    assert store.get(preview.id).state is State.LAUNCHING

    again = steps()
    assert run(store, preview, again).state is State.READY
    assert (again[State.BRANCHING].runs, again[State.LAUNCHING].runs) == (0, 1)


def test_a_failure_is_remembered_with_its_state_and_raised(store: Store) -> None:
    preview = make(store)

    with pytest.raises(StepFailed, match="no such image"):
        run(
            store,
            preview,
            steps(launching=raising(StepFailed("no such image", hint="build it", detail="log"))),
        )

    failed = store.get(preview.id)
    assert failed.state is State.FAILED
    assert failed.error == {
        "message": "no such image",
        "hint": "build it",
        "detail": "log",
        "kind": "StepFailed",
        "state": "launching",
        "exit_code": 1,
    }
    assert store.history(preview.id)[-1][1].kind == "failed"


def test_a_bug_is_remembered_without_its_words(store: Store) -> None:
    preview = make(store)

    with pytest.raises(ZeroDivisionError):
        run(store, preview, steps(checking=raising(ZeroDivisionError("secret 42"))))

    failed = store.get(preview.id)
    assert failed.state is State.FAILED
    assert "secret" not in str(failed.error)


def test_a_refused_promotion_leaves_the_preview_ready(store: Store) -> None:
    preview = make(store)
    todo = steps(promoting=raising(Refused("main has moved")))
    run(store, preview, todo)
    with store.lease(preview.id) as lease:
        store.record(lease, to=State.PROMOTING, kind="approved")

    with pytest.raises(Refused):
        run(store, preview, todo)

    assert store.get(preview.id).state is State.READY
    assert store.history(preview.id)[-1][1].kind == "refused"


def test_a_wish_to_discard_goes_first_even_while_a_step_runs(
    store: Store, open_store: Callable[..., Store]
) -> None:
    preview = make(store)
    other = open_store("bob@test")

    def migrating(each: Preview) -> Next:
        other.want(each.id, Wanted.CLOSED, note="preview discard")
        return Advance(to=State.LAUNCHING)

    todo = steps(migrating=migrating)
    closed = run(store, preview, todo)

    assert closed.state is State.CLOSED
    assert todo[State.LAUNCHING].runs == 0
    assert todo[State.DISCARDING].runs == 1


def test_a_promotion_is_finished_before_a_discard(store: Store) -> None:
    preview = make(store)
    todo = steps()
    run(store, preview, todo)
    with store.lease(preview.id) as lease:
        store.record(lease, to=State.PROMOTING, kind="approved")
        store.want(preview.id, Wanted.CLOSED, note="discard")
        assert Engine(store, todo, Seen()).run_until_rest(lease).state is State.CLOSED

    assert todo[State.PROMOTING].runs == 1


def test_a_preview_at_rest_is_left_alone(store: Store) -> None:
    preview = make(store)
    run(store, preview, steps(migrating=lambda _: Rest(to=State.WAITING)))
    before = store.history(preview.id)

    todo = steps(branching=raising(OrchestratorError("must not run")))
    assert run(store, preview, todo).state is State.WAITING
    assert store.history(preview.id) == before
