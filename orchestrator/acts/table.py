"""The acts, on previews and on the project. Each calls one verb; all may be run again after a crash in the middle."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from orchestrator.access import Caller, Role
from orchestrator.acts.access import Asked, owner
from orchestrator.bootstrap import Assembly
from orchestrator.errors import Refused, UsageError
from orchestrator.healing import Healed
from orchestrator.lifecycle import Preview, State
from orchestrator.sections import parse_duration
from orchestrator.settings import check_name

_Word = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
_Text = Annotated[str, StringConstraints(max_length=10_000)]


class Arguments(BaseModel):
    """What every act's arguments are: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoArguments(Arguments):
    """Nothing more to say."""


class Up(Arguments):
    """How a preview is made."""

    answers: dict[_Word, _Text] = Field(
        default_factory=dict, max_length=1000, description="Answers to questions, by their ids."
    )
    fresh: bool = Field(False, description="Begin again on a fresh branch of main.")
    context: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="The SHA-256 of the app's sources, sent before."
    )
    image: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$",
        description="A ready-made image to run, instead of sources.",
    )


class Answers(Arguments):
    """Answers that are given beforehand."""

    answers: dict[_Word, _Text] = Field(
        default_factory=dict, max_length=1000, description="By the questions' ids."
    )


class Answer(Arguments):
    """Answers to a waiting preview's questions."""

    answers: dict[_Word, _Text] = Field(min_length=1, max_length=1000, description="By the questions' ids.")


class Yes(Arguments):
    """What every yes to a preview says."""

    looked_at: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="What `GET /previews/NAME` says under that name: when it is something else by the time that "
        "this is done, nothing is. Default: as it is when this is asked for.",
    )


class Approve(Yes):
    """A person's yes."""

    allow: list[_Word] = Field(
        default_factory=list, max_length=1000, description="Hazards and findings that are allowed by name."
    )
    note: str = Field("", max_length=2000, description="A sentence to keep with it.")


class Promote(Yes):
    """How a preview is put on production."""

    allow: list[_Word] = Field(
        default_factory=list, max_length=1000, description="Hazards that are allowed by name."
    )
    keep: bool = Field(False, description="Leave the preview up afterwards.")
    rebase: bool = Field(
        True, description="When production has moved, rehearse again, and go on if nothing else is different."
    )
    phase: Literal["", "expand", "contract"] = Field(
        "", description="One half only: what the running version does not notice, or the rest."
    )


def _is_duration(text: str) -> str:
    parse_duration(text)
    return text


_Duration = Annotated[str, StringConstraints(max_length=20), AfterValidator(_is_duration)]


class Discard(Arguments):
    """How a preview is removed."""

    force: bool = Field(False, description="Even when its promotion stopped half-way; main stays as it is.")
    keep_for: _Duration | None = Field(
        None, description="Keep its branch so long, for a restore: `2d`. Default: as the settings say."
    )


class Revert(Arguments):
    """Which promotion of a preview is taken back, how, and what was looked at before."""

    promotion: str = Field(pattern=r"^[0-9a-f]{1,40}$", description="Its id.")
    digest: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="Of what `GET /way-back` said it would do and lose; when that is something else by now, "
        "nothing is done.",
    )
    to_restore_point: bool = Field(
        False, description="Give production the data of the restore point; what was written since is lost."
    )


class Extend(Arguments):
    """How much longer a preview lives."""

    lasting: _Duration = Field(description="`12h`, `3d`, `2w`.")


class Sweep(Arguments):
    """What is looked for, and whether it is removed."""

    of_stores: list[_Word] = Field(
        default_factory=list,
        max_length=100,
        description="Marks of other stores, lost for good, whose things are orphans; `unknown`: things without a mark.",
    )
    yes: bool = Field(False, description="Remove what was found.")


class Reconcile(Arguments):
    """What is brought back."""

    name: Annotated[str, AfterValidator(check_name)] | None = Field(
        None, max_length=40, description="One preview; default: all of the project."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One act that is being done.

    Attributes:
        rooms: everything, assembled.
        name: of the preview; empty when the act is on the whole project.
        caller: who asked.
        again: whether a worker began this before, and died.
        preview_id: the row that it was about then; None at first.
        mend: see orchestrator.healing; each preview with what its own author sent.
    """

    rooms: Assembly
    name: str
    caller: Caller
    mend: Callable[[str | None], Sequence[Healed]] | None = None
    again: bool = False
    preview_id: str | None = None

    @property
    def row(self) -> Preview | None:
        """The row that it is about, also when it is closed already."""
        store = self.rooms.store
        return store.get(self.preview_id) if self.preview_id else store.find(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that can be asked for.

    Attributes:
        name: as in the command and the route.
        summary: one sentence.
        asked: who may.
        of: which preview of the name it is about: ``live``, ``new`` (or live), ``closed``; or the whole ``project``.
        arguments: their model.
        run: does it, and gives the row afterwards, or what is to be told of the project.
    """

    name: str
    summary: str
    asked: Asked
    of: Literal["live", "new", "closed", "project"] = "live"
    arguments: type[Arguments]
    run: Callable[[Request, Any], Preview | Mapping[str, Any]]


def _brought(request: Request, arguments: Up | None = None) -> dict[str, Any]:
    """What the diary remembers of who asked and with what."""
    row = request.row
    known = list(row.facts.get("authors", ())) if row else []
    whose = owner(row) if row else request.caller.who
    facts: dict[str, Any] = {"owner": whose, "authors": sorted({*known, request.caller.who})}
    if arguments is not None and (arguments.context or arguments.image):
        facts["source"] = {"context": arguments.context} if arguments.context else {"image": arguments.image}
    return facts


def _up(request: Request, arguments: Up) -> Preview:
    # A branch that was fresh when the worker died still is: what it stopped in is gone on with.
    fresh = arguments.fresh and not request.again
    return request.rooms.controller.up(
        request.name, answers=arguments.answers, fresh=fresh, brought=_brought(request, arguments)
    )


def _answer(request: Request, arguments: Answer) -> Preview:
    controller = request.rooms.controller
    row = request.row
    if request.again and row is not None and row.state is not State.WAITING:
        return controller.up(request.name, answers=arguments.answers, brought=_brought(request))
    return controller.answer(request.name, arguments.answers, brought=_brought(request))


def _approve(request: Request, arguments: Approve) -> Preview:
    return request.rooms.controller.approve(
        request.name, allow=arguments.allow, note=arguments.note, looked=arguments.looked_at or ""
    )


def _promote(request: Request, arguments: Promote) -> Preview:
    row = request.row
    if request.again and row is not None and row.state is State.CLOSED and "promotion" in row.facts:
        return row
    return request.rooms.controller.promote(
        request.name,
        allow=arguments.allow,
        keep=arguments.keep,
        rebase=arguments.rebase,
        phase=arguments.phase,
        looked=arguments.looked_at or "",
    )


def _rebase(request: Request, arguments: Answers) -> Preview:
    return request.rooms.controller.rebase(request.name, answers=arguments.answers, by=request.caller.who)


def _sleep(request: Request, _arguments: NoArguments) -> Preview:
    rooms = request.rooms
    return rooms.sleeping.sleep(rooms.controller.mine(request.name).id)


def _wake(request: Request, _arguments: NoArguments) -> Preview:
    rooms = request.rooms
    return rooms.sleeping.wake(rooms.controller.mine(request.name).id)


def _discard(request: Request, arguments: Discard) -> Preview:
    row = request.row
    if request.preview_id and row is not None and row.state is State.CLOSED:
        return (
            row  # the job before us has removed it, or whoever worked on it, who was told when it was asked
        )
    kept = parse_duration(arguments.keep_for) if arguments.keep_for else None
    return request.rooms.controller.discard(request.name, force=arguments.force, keep_for=kept)


def _revert(request: Request, arguments: Revert) -> Preview:
    rooms = request.rooms
    try:
        chosen = rooms.reverts.choose(arguments.promotion)
    except Refused:
        if request.again and (done := rooms.reverts.done(arguments.promotion, arguments.digest)) is not None:
            return rooms.store.get(done.preview_id)  # only this job's end was not written down
        raise
    if chosen.preview_name != request.name:
        raise UsageError(
            f"promotion {chosen.id} is of {chosen.preview_name}, not of {request.name}",
            hint="`preview history` tells which promotion is whose",
        )
    outlook = rooms.reverts.look(chosen, to_restore_point=arguments.to_restore_point)
    rooms.reverts.assert_meant(outlook, arguments.digest)
    rooms.reverts.revert(outlook)
    return rooms.store.get(chosen.preview_id)


def _extend(request: Request, arguments: Extend) -> Preview:
    return request.rooms.lifetime.extend(request.name, parse_duration(arguments.lasting))


def _keep(request: Request, _arguments: NoArguments) -> Preview:
    return request.rooms.lifetime.keep(request.name)


def _restore(request: Request, _arguments: NoArguments) -> Preview:
    live = request.rooms.store.find(request.name)
    if request.again and live is not None and request.preview_id == live.id:
        return request.rooms.controller.up(request.name, answers={})
    return request.rooms.lifetime.restore(request.name)


def _sweep(request: Request, arguments: Sweep) -> Mapping[str, Any]:
    return request.rooms.sweeping.sweep(of_stores=arguments.of_stores, yes=arguments.yes)


def _reconcile(request: Request, arguments: Reconcile) -> Mapping[str, Any]:
    mend = request.mend or request.rooms.healing.mend
    return {"outcomes": [each.to_json() for each in mend(arguments.name)]}


_OWN = Asked(role=Role.DEVELOPER, own=True)

ACTS: Mapping[str, Act] = {
    act.name: act
    for act in (
        Act(
            name="up",
            summary="Branch production, rehearse the migration on the branch, run the app on it.",
            asked=_OWN,
            of="new",
            arguments=Up,
            run=_up,
        ),
        Act(
            name="answer",
            summary="Answer a waiting preview's questions and go on.",
            asked=_OWN,
            arguments=Answer,
            run=_answer,
        ),
        Act(
            name="approve",
            summary="Say yes to a ready preview, bound to what it is now.",
            asked=Asked(role=Role.APPROVER, another=True),
            arguments=Approve,
            run=_approve,
        ),
        Act(
            name="promote",
            summary="Apply exactly what was rehearsed to production.",
            asked=Asked(role=Role.APPROVER, another=True),
            arguments=Promote,
            run=_promote,
        ),
        Act(
            name="rebase",
            summary="Rehearse a preview again on production as it is now; then it takes the old one's place.",
            asked=Asked(role=Role.APPROVER),
            arguments=Answers,
            run=_rebase,
        ),
        Act(
            name="revert",
            summary="Take a promotion back, by a plan that keeps every later row or by its restore point.",
            asked=Asked(role=Role.APPROVER),
            of="closed",
            arguments=Revert,
            run=_revert,
        ),
        Act(
            name="sleep",
            summary="Stop a preview's app until somebody asks for it.",
            asked=_OWN,
            arguments=NoArguments,
            run=_sleep,
        ),
        Act(
            name="wake",
            summary="Start a sleeping preview's app again.",
            asked=Asked(role=Role.DEVELOPER),
            arguments=NoArguments,
            run=_wake,
        ),
        Act(
            name="discard",
            summary="Remove everything of a preview.",
            asked=_OWN,
            arguments=Discard,
            run=_discard,
        ),
        Act(
            name="extend",
            summary="Let a preview live longer than was said.",
            asked=_OWN,
            arguments=Extend,
            run=_extend,
        ),
        Act(
            name="keep",
            summary="Let a preview live until it is discarded.",
            asked=_OWN,
            arguments=NoArguments,
            run=_keep,
        ),
        Act(
            name="restore",
            summary="Bring back a discarded preview whose branch was kept.",
            asked=_OWN,
            of="closed",
            arguments=NoArguments,
            run=_restore,
        ),
        Act(
            name="reconcile",
            summary="Bring back what should be there; says what cannot be brought back.",
            asked=Asked(role=Role.DEVELOPER),
            of="project",
            arguments=Reconcile,
            run=_reconcile,
        ),
        Act(
            name="sweep",
            summary="Show what should not be there any more, or remove it.",
            asked=Asked(role=Role.ADMIN),
            of="project",
            arguments=Sweep,
            run=_sweep,
        ),
    )
}
