"""The commands about a person's yes: report, approve. Verb to render only."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.given import AsJson, Name, Quiet, assembled, result_to
from orchestrator.errors import Refused, UsageError

if TYPE_CHECKING:
    from orchestrator.cli.rooms import Rooms
    from orchestrator.lifecycle import Preview


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (report, approve):
        app.command()(command)


def report(
    name: Name,
    as_json: AsJson = False,
    as_html: Annotated[bool, typer.Option("--html", help="One self-contained HTML page.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Markdown for a pull request.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead of standard output.")
    ] = None,
) -> None:
    """Print what the rehearsal found: the verdict with its reasons, then plan, locks and findings.

    Exits with 0 whatever the verdict is; `preview approve` and `preview promote` refuse what blocks.
    """
    from orchestrator.cli import render
    from orchestrator.facts import preview_json

    if sum((as_json, as_html, as_markdown)) > 1:
        raise UsageError("give one of --json, --html, --markdown")
    with render.Progress() as progress, assembled(progress) as rooms:
        preview = rooms.controller.mine(name)
        if not preview.facts.get("report"):
            raise Refused(
                f"{name} is {preview.state}; it has no report yet",
                hint=f"`preview up {name}` rehearses; `preview show {name}` tells how far it is",
            )
        value = preview_json(preview)
        commands = _commands(rooms, preview)
    if as_json:
        import json

        text = json.dumps(value["report"], indent=2, ensure_ascii=False)
    elif as_html or as_markdown:
        from orchestrator.pages.render import html, markdown

        text = (html if as_html else markdown)(value, commands=commands).rstrip("\n")
    elif output is not None:
        raise UsageError("--output needs --json, --html or --markdown")
    else:
        render.whole_report(value, commands)
        return
    result_to(output, text)


def _commands(rooms: "Rooms", preview: "Preview") -> list[tuple[str, str]]:
    """What can be done now, and how it is typed."""
    from orchestrator.checks.report import Report, blocking
    from orchestrator.facts import promote_command
    from orchestrator.migration.plan import Plan

    name = preview.name
    if preview.state != "ready":
        return []
    hazards = rooms.controller.refused_hazards(Plan.from_json(preview.facts["plan"]))
    approve_it = shlex.join(["preview", "approve", name, *(w for h in hazards for w in ("--allow", h.name))])
    stops = blocking(Report.from_json(preview.facts["report"]).findings)
    if stops:
        return [
            ("mend what stops it, and rehearse again:", f"preview up {name}"),
            (
                "where that is wanted as it is, allow it by name and put exactly this on production:",
                promote_command(name, (*hazards, *stops)),
            ),
            ("remove everything of it:", f"preview discard {name}"),
        ]
    return [
        ("say yes, for somebody else to promote:", approve_it),
        ("put exactly this on production:", promote_command(name, hazards)),
        ("remove everything of it:", f"preview discard {name}"),
    ]


def approve(
    name: Name,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="Allow a hazard or a blocking finding by name. May be repeated."),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="A sentence to keep with the approval.")] = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Say yes to a ready preview, bound to its plan, main, goal, image, answers and report.

    `preview promote` refuses when any of them has moved since, and names which.
    """
    from orchestrator.cli import render
    from orchestrator.facts import preview_json

    with render.Progress(quiet=quiet) as progress, assembled(progress) as rooms:
        preview = rooms.controller.approve(name, allow=allow or [], note=note)
    if as_json:
        render.result_json(preview_json(preview))
    else:
        given = preview.facts["approval"]
        render.result(
            f"approved {name}: plan {given['plan_digest'][:12]}, report {given['report_digest'][:12]}"
        )
        render.console().print(f"  next: preview promote {name}", markup=False)
