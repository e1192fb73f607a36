"""Promotions and reverts on a terminal: what a revert would do. Prints only."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

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
