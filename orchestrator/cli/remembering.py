"""The command history: of previews, of one, of promotions. Verb to render only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.given import AsJson, checked_name, diary, result_to
from orchestrator.errors import UnknownPromotion, UsageError

if TYPE_CHECKING:
    from orchestrator.cli.rooms import Diary


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(history)


def history(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Of one preview; default: of all. `promotions` lists promotions and reverts, "
            "`show ID` shows one of them.",
            callback=checked_name,
        ),
    ] = None,
    promotion: Annotated[str | None, typer.Argument(help="The promotion's id, after `show`.")] = None,
    as_json: AsJson = False,
    as_html: Annotated[
        bool, typer.Option("--html", help="With `show ID`: one self-contained HTML page, for a post-mortem.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With `show ID`: write to this file.")
    ] = None,
) -> None:
    """Who did what, when, and how long it took; of promotions each statement, too.

    Everything is only ever appended to.
    """
    if promotion is not None and name != "show":
        raise UsageError(f"{promotion!r} is one word too many", hint="preview history show ID")
    if (as_html or output) and promotion is None:
        raise UsageError("--html and --output need a promotion", hint="preview history show ID --html")
    if as_html and as_json:
        raise UsageError("give one of --json, --html")
    with diary() as rows:
        if name is not None and promotion is not None:
            _show(rows.promotions(), promotion, as_json=as_json, as_html=as_html, output=output)
        elif name == "promotions":
            _promotions(rows.promotions(), as_json=as_json)
        else:
            _events(rows, name, as_json=as_json)


def _events(rows: "Diary", name: str | None, *, as_json: bool) -> None:
    """What happened to previews and in their promotions, in the order of time."""
    from orchestrator.cli import render

    told = [{"name": each, **event.to_json()} for each, event in rows.past(name)]
    for each in rows.promotions(name):
        told += [
            {"name": each["preview"], "promotion": each["id"], "state": each["state"], **event}
            for event in each["events"]
        ]
    told.sort(key=lambda event: event["at"])
    if as_json:
        render.result_json(told)
    else:
        render.history(told)


def _promotions(values: list[dict[str, Any]], *, as_json: bool) -> None:
    from orchestrator.cli import promotions_out, render

    if as_json:
        render.result_json(values)
    elif values:
        promotions_out.listing(values)
    else:
        render.console().print("nothing was promoted yet", markup=False)


def _show(
    values: list[dict[str, Any]], promotion_id: str, *, as_json: bool, as_html: bool, output: Path | None
) -> None:
    from orchestrator.cli import promotions_out

    by_id = {each["id"]: each for each in values}
    value = by_id.get(promotion_id)
    if value is None:
        raise UnknownPromotion(
            f"there is no promotion {promotion_id!r}",
            hint=f"the latest: {', '.join(list(by_id)[-5:])}" if by_id else "nothing was promoted yet",
        )
    revert = by_id.get(value["reverted_by"])
    if as_json:
        import json

        text = json.dumps(value, indent=2, ensure_ascii=False)
    elif as_html:
        from orchestrator.pages.render import promotion_html

        text = promotion_html(value, reverted_by=revert).rstrip("\n")
    elif output is not None:
        raise UsageError("--output needs --json or --html")
    else:
        promotions_out.promotion(value, revert)
        return
    result_to(output, text)
