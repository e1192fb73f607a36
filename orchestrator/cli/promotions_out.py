"""Promotions and reverts on a terminal: what a revert would do, what a promotion did. Prints only."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from orchestrator.cli import render


def outlook(value: Mapping[str, Any], *, as_json: bool) -> None:
    """What a revert would do and lose, on standard output."""
    if as_json:
        render.result_json(value)
        return
    out = render.console()
    if value["way"] == "restore_point":
        out.print(
            f"revert {value['preview']} (promotion {value['promotion']}): production gets the data of the restore point"
        )
    else:
        out.print(
            f"revert {value['preview']} (promotion {value['promotion']}): every row written since stays"
        )
        render.plan({"statements": value["statements"]})
    if value["others"]:
        out.print(f"  {value['others']} objects that others changed since stay as they are", markup=False)
    if value["app"]:
        out.print(f"  {value['app']}", markup=False)
    for loss in value["losses"]:
        out.print(f"  [yellow]lost[/]  {escape(loss)}")
    if not value["losses"]:
        out.print("  nothing is lost", markup=False)


def listing(values: Iterable[Mapping[str, Any]]) -> None:
    """A table on standard output, oldest first."""
    table = Table(box=None, pad_edge=False)
    for heading in ("ID", "KIND", "PREVIEW", "STATE", "STATEMENTS", "AT", "BY"):
        table.add_column(heading, no_wrap=True)
    for value in values:
        table.add_row(
            value["id"],
            value["kind"] + (f" of {value['reverts']}" if value["reverts"] else ""),
            value["preview"],
            value["state"],
            str(len(value["statements"])),
            value["at"][:16].replace("T", " "),
            value["who"],
        )
    render.wide_table(table)


def promotion(value: Mapping[str, Any], reverted_by: Mapping[str, Any] | None) -> None:
    """All of one promotion on standard output."""
    from orchestrator.pages.past import past_page

    shown = past_page(value, reverted_by=reverted_by)
    out = render.stdout()
    out.print(f"{shown.title}: {shown.state}, {shown.words}", markup=False)
    _pairs("", shown.facts)
    if shown.losses:
        out.print("\nlost, as it was said before")
        for loss in shown.losses:
            out.print(f"  {loss}", markup=False)
    _pairs("approval", shown.approval)
    for severity, subject, message in shown.findings:
        out.print(f"  report: {severity} {subject}: {message}", markup=False)
    _pairs("restore point", shown.restore_point)
    out.print(f"\nstatements, {len(shown.statements)}")
    for each in shown.statements:
        tries = f", {each.tries} tries" if each.tries != 1 else ""
        out.print(f"  {each.number:>2}  {each.why}", markup=False)
        out.print(f"      [dim]{each.at}, {escape(each.took)}{tries}; locked {escape(each.locks)}[/]")
        for who in each.waited_for:
            out.print(f"      [yellow]waited[/] {escape(who)}")
        for line in each.sql.splitlines():
            out.print(f"      [cyan]{escape(line)}[/]")
    _pairs("proof", shown.proof)
    for table, before, after in shown.rows:
        out.print(f"  rows of {table}: {before} before, {after} after", markup=False)
    _pairs("release", shown.release)
    out.print("\nwhat happened")
    for at, kind, note, who, took in shown.events:
        out.print(f"  {at}  {kind}  {note}{'  ' * bool(note)}by {who}  {took}".rstrip(), markup=False)


def _pairs(title: str, pairs: Iterable[tuple[str, str]]) -> None:
    listed = list(pairs)
    out = render.stdout()
    if listed and title:
        out.print(f"\n{title}", markup=False)
    for name, text in listed:
        out.print(f"  {name}: {text}", markup=False)
