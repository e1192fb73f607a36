"""The command `demo`: the main job with the example shop, on this machine, by the same commands that anybody types."""

import html
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.cli.stage import NAME, Stage, alone
from orchestrator.errors import StepFailed

RENAME = "rename:column:public.customers.full_name"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="demo")(demo)


def demo(
    orders: Annotated[int, typer.Option("--orders", min=1, help="How many orders production has.")] = 50_000,
    runtime: Annotated[str, typer.Option("--runtime", help="docker, process or auto.")] = "auto",
    keep: Annotated[
        bool, typer.Option("--keep", help="Stop before promoting, so that you can click.")
    ] = False,
) -> None:
    """Show the main job: a shop's production is branched, migrated, previewed, promoted, reverted; nothing is left.

    Everything lives in a folder of its own below $PREVIEW_HOME, which is removed at the end.
    """
    from orchestrator.cli import render

    with alone(), Stage(render.stdout(), runtime) as stage:
        _production(stage, orders)
        url = _preview(stage)
        _look(stage, url)
        if keep:
            stage.leave_up(url)
            return
        _promote(stage)
        _revert(stage)
        _discard(stage)
        stage.say("\nThat was the main job. Your turn: preview init")


def _production(stage: Stage, orders: int) -> None:
    stage.heading("production and development")
    stage.say("a project with a production branch and a development branch, on PostgreSQL of this machine:")
    stage.preview(
        *("init", "--neon", "embedded", "--project", "shop", "--database", "shop"),
        *("--goal-branch", "development", "--context", "v2"),
    )
    kind = stage.write_settings()
    stage.say("version 1 of the shop goes to production, with data:")
    stage.preview("psql", "--main", "--file", "v1/schema.sql")
    _set_orders(stage.folder / "seed.sql", orders)
    stage.preview("psql", "--main", "--file", "seed.sql", quiet_result=True)
    counts = stage.value(
        "select count(*) from customers union all select count(*) from orders", "--main"
    ).split()
    stage.say(f"production has {int(counts[0]):,} customers and {int(counts[1]):,} orders")
    stage.say("a developer changes the development database (with psql here; any tool will do):")
    stage.preview("psql", "--branch", "development", "--file", "v1/schema.sql")
    stage.preview("psql", "--branch", "development", "--file", "development.sql")
    if kind == "process":
        why = "as you asked" if stage.wanted_runtime == "process" else "no Docker engine answers here"
        stage.say(f"{why}: the app will run as a local process, without isolation")


def _set_orders(seed: Path, orders: int) -> None:
    """The seed reads how many orders to make from a setting of its session."""
    seed.write_text(f"set shop.orders = '{orders}';\n" + seed.read_text(encoding="utf-8"), encoding="utf-8")


def _preview(stage: Stage) -> str:
    stage.heading("preview up: branch, migrate, launch, check")
    if stage.interactive():
        stage.say("one change cannot be decided from facts, so it is asked:")
        words = ["up", NAME]
    else:
        stage.say(
            "one change cannot be decided from facts; without a terminal the command rests with exit code 3:"
        )
        stage.preview("up", NAME, expect=(3,))
        stage.say("the demo answers that it is a rename, as the printed line says:")
        words = ["answer", NAME, f"{RENAME}=name"]
    return stage.preview(*words).strip().splitlines()[-1]


def _look(stage: Stage, url: str) -> None:
    import httpx

    stage.heading(f"what {url} shows")
    try:
        # The preview is on this machine: a proxy from the environment has no business between.
        page = httpx.get(url, timeout=30, trust_env=False)
    except httpx.HTTPError as error:
        raise StepFailed(f"{url} did not answer: {type(error).__name__}") from error
    stage.say(f"HTTP {page.status_code}, {len(page.content):,} bytes:")
    for line in _words(page.text)[:12]:
        stage.say(f"  | {line}")
    stage.say("production has not changed:")
    stage.say(f"  columns of customers on main:    {_columns(stage, '--main')}")
    stage.say(f"  columns of customers on branch:  {_columns(stage, NAME)}")
    stage.heading("the plan and the report")
    stage.preview("show", NAME)


def _columns(stage: Stage, *where: str) -> str:
    return stage.value(
        "select string_agg(attname, ', ' order by attnum) from pg_attribute "
        "where attrelid = 'public.customers'::regclass and attnum > 0 and not attisdropped",
        *where,
    )


def _words(page: str) -> list[str]:
    """The readable lines of a page, for a terminal."""
    text = re.sub(r"(?s)<(style|script)\b.*?</\1>", "", page)
    text = re.sub(r"</(td|th|span|dt|dd|small|a|strong|b)>", "  ", text)
    lines = (
        html.unescape(re.sub(r"<[^>]+>", "", line)) for line in re.split(r"\n|</(?:tr|p|li|h\d|div)>", text)
    )
    return [" ".join(line.split()) for line in lines if line.split()]


def _promote(stage: Stage) -> None:
    stage.heading("preview promote: exactly that, on production")
    rows = "select (select count(*) from customers), (select count(*) from orders), (select sum(total) from orders)"
    before = stage.value(rows, "--main")
    stage.say("a column with data goes away, so this is refused (exit code 4) until it is allowed by name:")
    stage.preview("promote", NAME, expect=(4,))
    stage.preview("promote", NAME, "--allow", "deletes_data:public.customers.fax", "--keep")
    after = stage.value(rows, "--main")
    stage.say("main compared with the development branch:")
    stage.preview("plan")
    stage.say(f"customers, orders, sum of totals before: {before}")
    stage.say(f"customers, orders, sum of totals after:  {after}")
    plan = stage.json("plan")
    if before != after or plan["statements"]:
        raise StepFailed("main is not what it should be after the promotion", hint="please report this")
    stage.preview("history", NAME)


def _revert(stage: Stage) -> None:
    stage.heading("preview revert: the way back")
    fax = "select count(fax), count(*) from customers"
    stage.say("a customer comes in meanwhile; then the promotion is taken back, with what was set aside:")
    stage.value(
        "insert into customers (email, full_name) values ('late@example.com', 'Late Comer') returning id",
        "--main",
    )
    stage.preview("revert", "--yes")
    stage.say(f"columns of customers on main: {_columns(stage, '--main')}")
    found = stage.value(fax, "--main")
    stage.say(f"fax numbers, customers: {found}")
    name = stage.value("select name from customers where email = 'late@example.com'", "--main")
    if name != "Late Comer" or found.startswith("0|"):
        raise StepFailed("main is not what it should be after the revert", hint="please report this")
    stage.preview("history", "promotions")


def _discard(stage: Stage) -> None:
    stage.heading("preview discard: nothing is left")
    shown = stage.json("show", NAME)
    stage.preview("discard", NAME)
    left = leftovers(stage.home, shown["id"], stage.json("list"))
    for line in left:
        stage.say(f"  left: {line}")
    if left:
        raise StepFailed(f"{len(left)} things are left of the preview", hint="please report this")
    stage.say("looked for its container, process, image, branch, directory and row: none is there")
    stage.say("production's restore points stay for 7 days; `preview sweep` ends them")


def leftovers(home: Path, preview_id: str, listed: list[dict[str, Any]]) -> list[str]:
    """What carries the preview's id and should not be there any more; empty is good."""
    from orchestrator import opening
    from orchestrator.steps.project import RESTORE
    from preview import open_runtime

    found = [f"row {value['name']}" for value in listed if value["id"] == preview_id]
    for kind in ("docker", "process"):
        runtime = open_runtime(kind, home)
        if runtime.available() is None:
            found += [
                f"{kind} candidate {each.name}" for each in runtime.list({"dev.preview.id": preview_id})
            ]
    with opening.open_neon(opening.EMBEDDED) as neon:
        for project in neon.projects():
            found += [
                f"branch {branch.name}"
                for branch in neon.branches(project.id)
                # A restore point is production's: it stays for `promote.keep_days`, whatever becomes of the preview.
                if preview_id in branch.name and not branch.name.startswith(RESTORE)
            ]
    found += [f"path {path}" for path in home.rglob(f"*{preview_id}*")]
    return found
