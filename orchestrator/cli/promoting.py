"""The commands about production: promote, rebase, revert. Verb to render only."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.given import AsJson, Name, Quiet, assembled, parse_answers
from orchestrator.errors import Refused, UsageError, WaitingForAnswers

if TYPE_CHECKING:
    from orchestrator.cli.render import Progress
    from orchestrator.cli.rooms import Rooms

#: How often main is looked at while somebody else has the turn, seconds.
_LOOK_SECONDS = 0.5


class Phase(StrEnum):
    """Half of a promotion."""

    EXPAND = "expand"
    CONTRACT = "contract"


Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait while somebody else changes production; first come, first served."),
]
AtMost = Annotated[
    float | None, typer.Option("--at-most", help="With --wait: give up after so many seconds.", min=0)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (promote, rebase, revert):
        app.command()(command)


def promote(
    name: Name,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="Allow a hazard by name: CODE or CODE:OBJECT. May be repeated."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the preview up afterwards.")] = False,
    no_rebase: Annotated[
        bool,
        typer.Option("--no-rebase", help="When production has moved, say so instead of rehearsing again."),
    ] = False,
    phase: Annotated[
        Phase | None,
        typer.Option(
            "--phase",
            help="`expand`: only what the running version of the app survives; later `contract`: the rest.",
        ),
    ] = None,
    wait: Wait = False,
    at_most: AtMost = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Apply exactly the rehearsed migration to production, prove it, and discard the preview.

    When production has moved since, the preview is rehearsed again on production as it is now; that is promoted
    if plan, hazards, locks and image are what they were, else it waits for another yes (exit code 4).
    Run it again after a crash: it goes on with what remains.
    """
    from orchestrator.cli import render
    from orchestrator.facts import preview_json

    patience = turn(wait=wait, at_most=at_most)
    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        progress.say(f"{name} to {rooms.project.main.name}")
        preview = rooms.controller.promote(
            name,
            allow=allow or [],
            keep=keep,
            rebase=not no_rebase,
            wait=patience(progress),
            phase=phase.value if phase else "",
        )
    if as_json:
        render.result_json(preview_json(preview))
    elif "promotion" not in preview.facts:
        expanded = preview.facts["expanded"]
        render.result(
            f"expanded {name}: {len(expanded['applied']['statements'])} statements, {len(expanded['left'])} left; "
            f"next: preview promote {name} --phase contract"
        )
    else:
        done = preview.facts["promotion"]
        render.result(
            f"promoted {name}: {len(done['applied']['statements'])} statements, "
            f"plan {preview.facts['plan']['digest'][:12]}, promotion {done['id']}"
        )


def rebase(
    name: Name,
    answers: Annotated[
        list[str] | None, typer.Option("--answer", help="Answer a question: ID=VALUE. May be repeated.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Rehearse a preview again on production as it is now; the old one stays up until the new one is ready.

    Answers are kept. An approval is kept only if plan, hazards, locks and image are what they were.
    """
    from orchestrator.cli import render
    from orchestrator.facts import clicked, preview_json

    given = parse_answers(answers or [])
    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        progress.say(f"{name} onto {rooms.project.main.name} as it is now")
        try:
            preview = rooms.controller.rebase(name, answers=given)
        except WaitingForAnswers:
            _ask(rooms, name, as_json=as_json)
            raise
    if as_json:
        render.result_json(preview_json(preview))
    else:
        render.result(clicked(preview.facts) or "")


def revert(
    promotion: Annotated[
        str | None,
        typer.Argument(help="The promotion's id, from `preview history`; default: the last one."),
    ] = None,
    to_restore_point: Annotated[
        bool,
        typer.Option(
            "--to-restore-point",
            help="Give production the data of the promotion's restore point; what was written since is lost.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what it would do and what it would lose.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Wait = False,
    at_most: AtMost = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Take a promotion back: shown first, done after a yes, proved afterwards.

    By a plan that keeps every row written since; what was dropped comes back with its values while it is kept aside,
    and the app goes back in the same act. Run it again after a crash: it goes on with what remains.
    """
    from orchestrator.cli import ask, promotions_out, render

    patience = turn(wait=wait, at_most=at_most)
    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        outlook = rooms.reverts.look(rooms.reverts.choose(promotion), to_restore_point=to_restore_point)
        shown = outlook.to_json()
        progress.rest()
        if dry_run or not as_json:
            promotions_out.outlook(shown, as_json=as_json)
        if dry_run:
            return
        if not yes:
            if not ask.can_ask() or as_json:
                raise WaitingForAnswers(
                    f"the revert of {shown['preview']} waits for a yes",
                    hint=f"preview revert {shown['promotion']}{' --to-restore-point' * to_restore_point} --yes",
                )
            if not typer.confirm("Do this on production?", default=False, err=True):
                raise Refused("not reverted: the answer was no")
        done = rooms.reverts.revert(outlook, wait=patience(progress))
    value = done.to_json()
    if as_json:
        render.result_json(value)
    else:
        render.result(f"reverted {value['preview']}: promotion {value['reverts']}, revert {value['id']}")


def _ask(rooms: "Rooms", name: str, *, as_json: bool) -> None:
    from orchestrator.cli import render
    from orchestrator.facts import open_questions, preview_json

    shadow = rooms.store.shadow_of(rooms.controller.mine(name).id)
    if shadow is None:
        return
    if as_json:
        render.result_json(preview_json(shadow))
    render.questions(open_questions(shadow))


def turn(*, wait: bool, at_most: float | None) -> "Callable[[Progress], Callable[[str], bool]]":
    """What to do while somebody else has the turn on main: nothing, or say who and look again.

    Raises:
        UsageError: a limit without --wait.
    """
    if at_most is not None and not wait:
        raise UsageError("--at-most needs --wait")
    until = time.monotonic() + at_most if at_most is not None else None

    def waiting(progress: "Progress") -> Callable[[str], bool]:
        told = ""

        def look_again(holder: str) -> bool:
            nonlocal told
            if not wait or (until is not None and time.monotonic() >= until):
                return False
            if holder != told:
                progress.say(f"  waiting for {holder}")
                told = holder
            time.sleep(_LOOK_SECONDS)
            return True

        return look_again

    return waiting
