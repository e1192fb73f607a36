"""The commands about how long previews live and what is left of them: extend, keep, restore, sweep, reconcile."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.given import AsJson, Name, Quiet, assembled, checked_name
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.cli.rooms import Lifetime
    from orchestrator.lifecycle import Preview


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (extend, keep, restore, sweep, reconcile):
        app.command(name=command.__name__)(command)


def span(text: str) -> timedelta:
    """A duration from the command line.

    Raises:
        UsageError: it is none.
    """
    from orchestrator.sections import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def extend(
    name: Name,
    by: Annotated[str, typer.Option("--for", help="How much longer: 12h, 3d, 2w.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Let a preview live longer than was said."""
    more = span(by)
    preview = _now(lambda lifetime: lifetime.extend(name, more), as_json=as_json, quiet=quiet)
    if not as_json:
        _say(f"{name} lives until {preview.expires_at:%Y-%m-%d %H:%M} UTC")


def keep(name: Name, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Let a preview live until it is discarded."""
    _now(lambda lifetime: lifetime.keep(name), as_json=as_json, quiet=quiet)
    if not as_json:
        _say(f"{name} lives until it is discarded")


def restore(name: Name, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Bring back a discarded preview whose branch was kept: its data, plan, answers and approval."""
    preview = _now(lambda lifetime: lifetime.restore(name), as_json=as_json, quiet=quiet)
    if not as_json:
        from orchestrator.facts import clicked

        _say(clicked(preview.facts) or "")


def _now(act: "Callable[[Lifetime], Preview]", *, as_json: bool, quiet: bool) -> "Preview":
    """Do it, and print the preview as it is now where JSON is wanted."""
    from orchestrator.cli import render
    from orchestrator.facts import preview_json

    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        preview = act(rooms.lifetime)
    if as_json:
        render.result_json(preview_json(preview))
    return preview


def _say(text: str) -> None:
    from orchestrator.cli import render

    render.result(text)


def sweep(
    yes: Annotated[bool, typer.Option("--yes", help="Remove what was found, instead of showing it.")] = False,
    of_store: Annotated[
        list[str] | None,
        typer.Option(
            "--of-store",
            help="Take things of this other store, which is lost for good, for orphans; `unknown`: things without "
            "a mark. May be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what should not be there any more: things without a preview, previews without a thing, time that is over."""
    from orchestrator.cli import render

    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        found = rooms.sweeping.sweep(of_stores=of_store or (), yes=yes)
    orphans, left = found["orphans"], found["left"]
    if as_json:
        render.result_json(found)
    else:
        for each in orphans:
            render.result(f"{each['kind']} {each['name']}: {each['why']}")
        out = render.console()
        for each in found["strangers"]:
            of = f"of another store ({each['store'] or 'unknown'})"
            out.print(f"  left alone: {each['kind']} {each['name']} is {of}", markup=False)
        for each in found["not_looked_at"]:
            out.print(f"  not looked at: {each['kind']}: {each['why']}", markup=False)
        if not orphans:
            out.print("  nothing is left over", markup=False)
        elif not yes:
            out.print("  next: preview sweep --yes", markup=False)
    if left:
        first = f"the first is {left[0]['name']}: {left[0]['error']}"
        raise OrchestratorError(
            f"{len(left)} of {len(orphans)} could not be removed; {first}",
            hint="mend that and run `preview sweep --yes` again",
        )


def reconcile(
    name: Annotated[
        str | None,
        typer.Argument(help="One preview; all of the project when not given.", callback=checked_name),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Bring back what should be there: an app that died, a run that was killed; says what cannot be brought back."""
    from orchestrator.cli import render

    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        outcomes = rooms.healing.mend(name)
        healed = [each for each in outcomes if each.done or each.cannot or each.left]
    if as_json:
        render.result_json([each.to_json() for each in outcomes])
    else:
        for each in healed:
            for text in each.done:
                render.result(f"{each.name}: {text}")
            for text in each.cannot:
                render.result(f"{each.name}: cannot: {text}")
            for text in each.left:
                render.result(f"{each.name}: left alone: {text}")
        if not healed:
            render.console().print("  all is as it should be", markup=False)
    cannot = [f"{each.name}: {text}" for each in healed for text in each.cannot]
    if cannot:
        raise OrchestratorError(
            f"{len(cannot)} could not be brought back; {cannot[0]}", hint="`preview show NAME` says more"
        )
