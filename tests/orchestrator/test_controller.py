"""The verbs: what they refuse, where they go on, and what they print to answer with. Steps are told what to do."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from orchestrator.approval import Guards, looked_at
from orchestrator.controller import Controller
from orchestrator.errors import (
    HazardNotAllowed,
    NameTaken,
    Refused,
    StepFailed,
    UnknownPreview,
    UsageError,
    WaitingForAnswers,
)
from orchestrator.facts import open_questions, past, preview_json
from orchestrator.hooks import Hooks
from orchestrator.lifecycle import Advance, Engine, Next, Preview, Rest, State, Store, Wanted
from orchestrator.migration.plan import Hazard, Plan, Statement
from orchestrator.schema.questions import Choice, Question

RENAME = Question(
    id="rename:column:public.customers.full_name",
    kind="rename",
    prompt="Was customers.name renamed to full_name?",
    choices=(Choice(value="name", label="renamed"), Choice(value="-", label="dropped", destructive=True)),
    default="-",
)
PLAN = Plan(
    base="main-1",
    goal="goal-1",
    statements=(
        Statement(
            sql="alter table public.customers drop column fax",
            why="drop column public.customers.fax",
            hazards=(
                Hazard(code="deletes_data", on="public.customers.fax", detail="5,000 values are lost"),
                Hazard(code="breaks_running_code", on="public.customers.fax", detail="old code reads it"),
            ),
        ),
    ),
)


class World:
    """Steps, freshness and hooks that a test can steer; counts what was done."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ran: list[str] = []
        self.questions: tuple[Question, ...] = ()
        self.fails: dict[State, Exception] = {}
        self.stale_answer: tuple[State, str] | None = None
        self.goal_now = "goal-1"
        self.required = False
        self.report: dict[str, Any] = {"verdict": "ok", "findings": []}

    def controller(self, *, project: str = "embedded/p-1", allowed: tuple[str, ...] = ()) -> Controller:
        steps = {
            State.BRANCHING: self._step(State.BRANCHING, self._branched),
            State.MIGRATING: self._step(State.MIGRATING, self._migrated),
            State.LAUNCHING: self._step(
                State.LAUNCHING, lambda _: Advance(to=State.CHECKING, facts={"url": "http://127.0.0.1:20000"})
            ),
            State.CHECKING: self._step(
                State.CHECKING, lambda _: Advance(to=State.READY, facts={"report": self.report})
            ),
            State.PROMOTING: self._step(
                State.PROMOTING,
                lambda preview: Advance(
                    to=State.PROMOTED,
                    facts={"promotion": {"id": preview.facts.get("promotion_id"), "applied": {}}},
                ),
            ),
            State.DISCARDING: self._step(State.DISCARDING, lambda _: Advance(to=State.CLOSED)),
        }
        return Controller(
            store=self.store,
            project=project,
            engine=Engine(self.store, steps, Silent()),
            hooks=Hooks(
                prepare=lambda _: None,
                freshness=self,
                withdraw=lambda _: self.ran.append("withdraw"),
                runtime_kind=lambda: "process",
            ),
            guards=Guards(
                blocking=frozenset({"deletes_data"}), allowed=frozenset(allowed), required=self.required
            ),
        )

    def stale(self, preview: Preview) -> tuple[State, str] | None:
        return self.stale_answer

    def goal(self, preview: Preview) -> str:
        return self.goal_now

    def _step(self, state: State, what: Callable[[Preview], Next]) -> Any:
        world = self

        class Step:
            def run(self, preview: Preview, detail: Callable[[str], None]) -> Next:
                world.ran.append(state.value)
                if error := world.fails.pop(state, None):
                    raise error
                return what(preview)

        return Step()

    def _branched(self, preview: Preview) -> Next:
        facts: Mapping[str, Any] = {
            "base": "main-1",
            "branch": {"id": "br-1", "name": "preview/x"},
            "rotated": True,
        }
        return Advance(to=State.MIGRATING, facts=facts)

    def _migrated(self, preview: Preview) -> Next:
        answers = preview.facts["answers"]
        if any(question.id not in answers for question in self.questions):
            return Rest(to=State.WAITING, facts={"questions": [each.to_json() for each in self.questions]})
        return Advance(
            to=State.LAUNCHING, facts={"plan": PLAN.to_json(), "reached": "goal-1", "goal": "goal-1"}
        )


class Silent:
    def started(self, preview: Preview) -> None: ...
    def detail(self, text: str) -> None: ...
    def finished(self, preview: Preview, state: State, note: str, milliseconds: float) -> None: ...
    def failed(self, preview: Preview, state: State, message: str, milliseconds: float) -> None: ...


@pytest.fixture
def world(store: Store) -> World:
    return World(store)


def test_up_goes_through_and_its_json_has_what_design_promises(world: World) -> None:
    ready = world.controller().up("pr-1", answers={})

    value = preview_json(ready)
    assert value["state"] == "ready"
    assert value["url"] == "http://127.0.0.1:20000"
    assert value["branch"] == {"id": "br-1", "name": "preview/x"}
    assert value["plan"]["digest"] == PLAN.digest
    assert {"name", "image", "report", "created_at", "expires_at"} <= set(value)


def test_up_again_does_nothing_when_all_is_as_it_should_be(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.ran.clear()

    world.controller().up("pr-1", answers={})

    assert world.ran == []


def test_up_again_rebuilds_what_is_stale(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.ran.clear()
    world.stale_answer = (State.LAUNCHING, "the app has changed")

    world.controller().up("pr-1", answers={})

    assert world.ran == ["launching", "checking"]


def test_fresh_begins_again_with_a_branch_that_will_be_rotated(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.ran.clear()

    world.controller().up("pr-1", answers={}, fresh=True)

    assert world.ran == ["withdraw", "branching", "migrating", "launching", "checking"]


@pytest.mark.parametrize(
    ("where", "goes_on_with"),
    [
        (State.BRANCHING, "branching"),
        (State.MIGRATING, "branching"),  # a rehearsal is always whole
        (State.LAUNCHING, "launching"),
        (State.CHECKING, "checking"),
    ],
)
def test_up_goes_on_after_a_failure(world: World, where: State, goes_on_with: str) -> None:
    world.fails[where] = StepFailed("no luck")
    with pytest.raises(StepFailed):
        world.controller().up("pr-1", answers={})
    world.ran.clear()

    assert world.controller().up("pr-1", answers={}).state is State.READY
    assert next(each for each in world.ran if each != "withdraw") == goes_on_with


def test_a_question_makes_it_rest_and_the_printed_command_answers_it(world: World) -> None:
    world.questions = (RENAME,)
    with pytest.raises(WaitingForAnswers) as caught:
        world.controller().up("pr-1", answers={})

    assert caught.value.exit_code == 3
    assert caught.value.hint == "preview answer pr-1 rename:column:public.customers.full_name=name"
    assert open_questions(world.controller().show("pr-1")) == (RENAME,)
    assert world.controller().answer("pr-1", {RENAME.id: "name"}).state is State.READY
    assert world.store.find("pr-1").facts["answers"] == {RENAME.id: "name"}  # type: ignore[union-attr]


def test_an_answer_given_beforehand_asks_nothing(world: World) -> None:
    world.questions = (RENAME,)

    assert world.controller().up("pr-1", answers={RENAME.id: "name"}).state is State.READY


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"rename:column:public.x.y": "z"}, "no open question 'rename:column:public.x.y'"),
        ({RENAME.id: "telephone"}, "'telephone' is no answer"),
    ],
)
def test_an_answer_that_fits_nothing_is_refused_and_not_kept(
    world: World, answers: dict[str, str], said: str
) -> None:
    world.questions = (RENAME,)
    with pytest.raises(WaitingForAnswers):
        world.controller().up("pr-1", answers={})

    with pytest.raises(UsageError, match=said):
        world.controller().answer("pr-1", answers)

    assert world.controller().show("pr-1").facts["answers"] == {}


def test_answering_who_does_not_wait_is_a_usage_error(world: World) -> None:
    world.controller().up("pr-1", answers={})

    with pytest.raises(UsageError, match="waits for no answer"):
        world.controller().answer("pr-1", {"a": "b"})


def test_a_destructive_plan_is_refused_until_it_is_allowed_by_name(world: World) -> None:
    world.controller().up("pr-1", answers={})

    with pytest.raises(HazardNotAllowed) as caught:
        world.controller().promote("pr-1", allow=[], keep=False)

    assert caught.value.exit_code == 4
    assert "--allow deletes_data:public.customers.fax" in caught.value.hint
    assert world.controller().show("pr-1").state is State.READY
    with pytest.raises(HazardNotAllowed):
        world.controller().promote("pr-1", allow=["deletes_data:public.customers.phone"], keep=False)
    closed = world.controller().promote("pr-1", allow=["deletes_data:public.customers.fax"], keep=False)
    assert closed.state is State.CLOSED
    assert world.ran[-2:] == ["promoting", "discarding"]


def test_a_hazard_can_be_allowed_by_its_code_or_by_the_settings(world: World) -> None:
    world.controller().up("pr-1", answers={})
    kept = world.controller().promote("pr-1", allow=["deletes_data"], keep=True)
    assert kept.state is State.PROMOTED

    world.controller().discard("pr-1")
    world.controller().up("pr-2", answers={})
    allowed = world.controller(allowed=("deletes_data:public.customers.fax",))
    assert allowed.promote("pr-2", allow=[], keep=False).state is State.CLOSED


def test_the_approval_is_written_down_with_its_facts(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.controller().promote("pr-1", allow=["deletes_data"], keep=True)

    approved = next(event for _, event in past(world.store, "pr-1") if event.kind == "approved")
    assert approved.who == "ada@test"
    assert approved.detail["plan_digest"] == PLAN.digest
    assert approved.detail["main_fingerprint"] == "main-1"
    assert approved.detail["goal_fingerprint"] == "goal-1"


def test_a_report_that_blocks_stops_the_promotion(world: World) -> None:
    world.report = {
        "verdict": "blocked",
        "findings": [
            {
                "check": "rows",
                "severity": "blocked",
                "subject": "public.orders",
                "message": "7 rows were lost",
            }
        ],
    }
    world.controller().up("pr-1", answers={})

    with pytest.raises(Refused, match="7 rows were lost"):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False)


def test_an_approval_is_bound_to_its_facts_and_says_which_of_them_moved(world: World) -> None:
    world.controller().up("pr-1", answers={})
    with pytest.raises(HazardNotAllowed) as caught:
        world.controller().approve("pr-1", allow=["performance:queries"])
    flags = "--allow performance:queries --allow deletes_data:public.customers.fax"
    assert caught.value.hint == f"if that is wanted: preview approve pr-1 {flags}"
    approved = world.controller().approve("pr-1", allow=["deletes_data"], note="seen with Bo")
    assert approved.state is State.READY
    assert approved.facts["approval"]["note"] == "seen with Bo"

    world.goal_now = "goal-2"
    with pytest.raises(
        Refused, match=r"by ada@test does not hold any more: the goal's schema \(goal-1 then, goal-2 now"
    ):
        world.controller().promote("pr-1", allow=[], keep=False)
    assert world.controller().show("pr-1").state is State.READY

    world.goal_now = "goal-1"
    world.report = {
        "verdict": "ok",
        "findings": [{"check": "rows", "severity": "ok", "subject": "public.orders", "message": "7 rows"}],
    }
    world.controller().up("pr-1", answers={}, fresh=True)
    with pytest.raises(Refused, match="the report"):
        world.controller().promote("pr-1", allow=[], keep=False)
    world.controller().approve("pr-1", allow=["deletes_data"])
    assert world.controller().promote("pr-1", allow=[], keep=False).state is State.CLOSED


def test_a_yes_that_waited_while_it_was_brought_up_anew_is_no_yes_to_that(world: World) -> None:
    seen = looked_at(world.controller().up("pr-1", answers={}))
    world.report = {"verdict": "ok", "findings": [], "digest": "another"}
    world.controller().up("pr-1", answers={}, fresh=True)
    with pytest.raises(Refused, match="not what it was when you said yes"):
        world.controller().approve("pr-1", allow=["deletes_data"], looked=seen)
    with pytest.raises(Refused, match="not what it was when you said yes"):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False, looked=seen)

    seen = looked_at(world.controller().show("pr-1"))
    world.controller().approve("pr-1", allow=["deletes_data"], looked=seen)
    # Approved is what was looked at; and a promotion that has begun goes on, whatever it is by then.
    world.fails[State.PROMOTING] = StepFailed("the wire is cut")
    with pytest.raises(StepFailed):
        world.controller().promote("pr-1", allow=[], keep=False, looked=seen)
    assert world.controller().promote("pr-1", allow=[], keep=False, looked=seen).state is State.CLOSED


def test_what_was_kept_and_taken_back_is_not_said_to_be_promoted(world: World) -> None:
    world.controller().up("pr-1", answers={})
    kept = world.controller().promote("pr-1", allow=["deletes_data"], keep=True)
    assert world.controller().promote("pr-1", allow=[], keep=True).state is State.PROMOTED  # it is
    promotions = world.store.promotions("embedded/p-1")
    promotion = promotions.get(kept.facts["promotion_id"])
    back = promotions.begin(
        preview_id=kept.id, preview_name="pr-1", facts={"way": "reverse_plan"}, reverts=promotion.id
    )
    for kind in ("applying", "done"):
        promotions.record(back.id, kind)

    with pytest.raises(Refused, match=f"was taken back by revert {back.id}"):
        world.controller().promote("pr-1", allow=[], keep=False)

    assert world.controller().discard("pr-1").state is State.CLOSED


def test_where_an_approval_is_required_nobody_promotes_without_one(world: World) -> None:
    world.required = True
    world.controller().up("pr-1", answers={})
    with pytest.raises(Refused, match="nobody approved pr-1"):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False)
    world.controller().approve("pr-1", allow=["deletes_data"])
    assert world.controller().promote("pr-1", allow=[], keep=False).state is State.CLOSED


def test_the_yes_of_a_promotion_that_was_refused_does_not_bind_the_next(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.fails[State.PROMOTING] = Refused("another promotion is under way")
    with pytest.raises(Refused, match="another promotion"):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False)
    world.goal_now = "goal-2"
    assert world.controller().promote("pr-1", allow=["deletes_data"], keep=False).state is State.CLOSED


def test_a_blocking_finding_can_be_allowed_by_name(world: World) -> None:
    finding = {
        "check": "rows",
        "severity": "blocked",
        "subject": "public.orders",
        "message": "7 rows were lost",
    }
    world.report = {"verdict": "blocked", "findings": [finding]}
    world.controller().up("pr-1", answers={})
    allow = ["deletes_data", "rows:public.orders"]
    assert world.controller().promote("pr-1", allow=allow, keep=False).state is State.CLOSED


def test_only_a_ready_preview_can_be_promoted(world: World) -> None:
    world.questions = (RENAME,)
    with pytest.raises(WaitingForAnswers):
        world.controller().up("pr-1", answers={})

    with pytest.raises(Refused, match="pr-1 is waiting"):
        world.controller().promote("pr-1", allow=[], keep=False)


def test_a_promotion_that_failed_goes_on_and_is_not_discarded_by_accident(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.fails[State.PROMOTING] = StepFailed("connection lost")
    with pytest.raises(StepFailed):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False)

    with pytest.raises(Refused, match="half-way"):
        world.controller().discard("pr-1")
    with pytest.raises(Refused, match="not finished"):
        world.controller().up("pr-1", answers={})

    assert world.controller().promote("pr-1", allow=[], keep=True).state is State.PROMOTED


def test_force_gives_a_failed_promotion_up(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.fails[State.PROMOTING] = StepFailed("connection lost")
    with pytest.raises(StepFailed):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False)

    assert world.controller().discard("pr-1", force=True).state is State.CLOSED


def test_a_name_of_another_project_is_taken(world: World) -> None:
    world.controller().up("pr-1", answers={})
    other = world.controller(project="embedded/p-2")

    with pytest.raises(NameTaken, match="project embedded/p-1"):
        other.up("pr-1", answers={})
    for verb in (other.discard, lambda name: other.promote(name, allow=[], keep=False)):
        with pytest.raises(UsageError, match="not of embedded/p-2"):
            verb("pr-1")


def test_unknown_previews_name_what_there_is(world: World) -> None:
    with pytest.raises(UnknownPreview) as nothing:
        world.controller().show("pr-9")
    assert nothing.value.hint == "`preview up pr-9` makes it"
    world.controller().up("pr-1", answers={})

    with pytest.raises(UnknownPreview) as something:
        world.controller().discard("pr-9")
    assert something.value.hint == "live previews: pr-1"
    with pytest.raises(UnknownPreview):
        past(world.store, "pr-9")


def test_a_discarded_name_is_free_and_its_history_stays(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.controller().discard("pr-1")

    assert world.store.find("pr-1") is None
    assert [event.state for _, event in past(world.store, "pr-1")][-1] is State.CLOSED
    assert world.controller().up("pr-1", answers={}).state is State.READY


def test_up_refuses_a_preview_that_is_being_discarded(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.store.want(world.controller().show("pr-1").id, Wanted.CLOSED, note="discard")

    with pytest.raises(Refused, match="is being discarded"):
        world.controller().up("pr-1", answers={})


def test_a_discard_that_failed_can_be_run_again(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.fails[State.DISCARDING] = StepFailed("engine gone")
    with pytest.raises(StepFailed):
        world.controller().discard("pr-1")

    assert world.controller().discard("pr-1").state is State.CLOSED


def test_a_promotion_that_died_while_it_cleaned_up_is_finished_by_promote(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.fails[State.DISCARDING] = StepFailed("engine gone")
    with pytest.raises(StepFailed):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False)
    world.ran.clear()

    assert world.controller().promote("pr-1", allow=[], keep=False).state is State.CLOSED
    assert world.ran == ["discarding"]


def test_what_was_said_of_an_old_branch_is_not_shown_of_the_next(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.stale_answer = (State.BRANCHING, "the goal has changed")
    world.questions = (RENAME,)

    with pytest.raises(WaitingForAnswers):
        world.controller().up("pr-1", answers={})

    value = preview_json(world.controller().show("pr-1"))
    assert (value["url"], value["report"], value["plan"]["digest"]) == (None, None, None)
    assert world.ran[-3:] == ["withdraw", "branching", "migrating"]


def test_a_wrong_answer_does_not_stick(world: World) -> None:
    world.questions = (RENAME,)
    with pytest.raises(WaitingForAnswers):
        world.controller().up("pr-1", answers={})
    world.fails[State.MIGRATING] = UsageError("'x' is none of: name, -")

    with pytest.raises(UsageError):
        world.controller().up("pr-1", answers={RENAME.id: "x"})

    waiting = world.controller().show("pr-1")
    assert (waiting.state, waiting.facts["answers"]) == (State.WAITING, {})
    assert world.controller().answer("pr-1", {RENAME.id: "name"}).state is State.READY


def test_the_printed_answers_never_give_one_old_name_to_two_new_ones(world: World) -> None:
    second = Question(
        id="rename:column:public.customers.label",
        kind="rename",
        prompt="Was customers.name renamed to label?",
        choices=RENAME.choices,
        default="-",
    )
    world.questions = (RENAME, second)
    with pytest.raises(WaitingForAnswers) as caught:
        world.controller().up("pr-1", answers={})

    assert caught.value.hint == f"preview answer pr-1 {RENAME.id}=name {second.id}=-"


def test_answers_that_were_given_before_may_be_given_again(world: World) -> None:
    second = Question(id="fill:public.customers.x", kind="fill", prompt="?", free_text=True)
    world.questions = (RENAME, second)
    with pytest.raises(WaitingForAnswers):
        world.controller().up("pr-1", answers={})
    with pytest.raises(WaitingForAnswers):
        world.controller().answer("pr-1", {RENAME.id: "name"})

    both = {RENAME.id: "name", second.id: "0"}
    assert world.controller().answer("pr-1", both).state is State.READY


def test_a_preview_that_is_discarded_while_it_comes_up_says_so(world: World) -> None:
    original = world._migrated

    def discarded(preview: Preview) -> Next:
        world.store.want(preview.id, Wanted.CLOSED, note="preview discard")
        return original(preview)

    world._migrated = discarded  # type: ignore[method-assign]
    with pytest.raises(Refused, match="was discarded while it was being brought up"):
        world.controller().up("pr-1", answers={})


def test_a_promotion_that_touched_nothing_leaves_the_preview_ready_even_after_an_error(world: World) -> None:
    world.controller().up("pr-1", answers={})
    harmless = StepFailed("Neon does not answer")
    harmless.nothing_done = True
    world.fails[State.PROMOTING] = harmless

    with pytest.raises(StepFailed):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False)

    assert world.controller().show("pr-1").state is State.READY
    assert world.controller().discard("pr-1").state is State.CLOSED


def test_a_resumed_promotion_is_marked_as_one(world: World) -> None:
    world.controller().up("pr-1", answers={})
    world.fails[State.PROMOTING] = StepFailed("connection lost")
    with pytest.raises(StepFailed):
        world.controller().promote("pr-1", allow=["deletes_data"], keep=False)

    assert world.controller().promote("pr-1", allow=[], keep=True).facts["resumed"] is True
