"""The command `demo`: the main job with the example shop, on this machine, by the same commands that anybody types."""

import html
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.errors import OrchestratorError, StepFailed

if TYPE_CHECKING:
    from rich.console import Console

NAME = "demo"
RENAME = "rename:column:public.customers.full_name"
#: An image that this repository's scripts/base-image makes where no registry can be reached.
LOCAL_BASE = "preview-base:python3"


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
    """Show the main job: a shop's production is branched, migrated, previewed, promoted; then nothing is left.

    Everything lives in a folder of its own below $PREVIEW_HOME, which is removed at the end.
    """
    from orchestrator.cli import render

    with Stage(render.stdout(), runtime) as stage:
        _production(stage, orders)
        url = _preview(stage)
        _look(stage, url)
        if keep:
            stage.leave_up(url)
            return
        _promote(stage)
        _discard(stage)
        stage.say("\nThat was the main job. Your turn: preview init")


class Stage:
    """A folder and a $PREVIEW_HOME of the demo's own; runs `preview` as a person would and prints what it runs."""

    def __init__(self, out: "Console", runtime: str) -> None:
        from orchestrator.settings import home

        self._out = out
        self.wanted_runtime = runtime
        self.home = home() / "demo"
        self.folder = self.home / "shop"
        self._left_up = False
        self._outer_home: str | None = None

    def __enter__(self) -> "Stage":
        if self.home.exists():
            self.say("an earlier demo was not finished: removing what it left")
            self._remove()
        self._outer_home = os.environ.get("PREVIEW_HOME")
        os.environ["PREVIEW_HOME"] = str(self.home)
        self.home.mkdir(parents=True)
        shutil.copytree(_shop(), self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._left_up:
            return
        if kind is not None:
            self.say("the demo stopped early; removing what it made")
        self._remove()
        if self._outer_home is None:
            del os.environ["PREVIEW_HOME"]
        else:
            os.environ["PREVIEW_HOME"] = self._outer_home

    def _remove(self) -> None:
        """End everything of the demo and remove its folder; a preview that is left is discarded first."""
        if (self.folder / "preview.toml").exists() and self.json("list"):
            self._run(["discard", NAME, "--force", "--quiet"], capture=True)
        from neon_embedded import stop

        stop(self.home)
        crashes = self.home / "crashes"
        if crashes.exists():
            kept = shutil.copytree(crashes, self.home.parent / "crashes", dirs_exist_ok=True)
            self.say(f"what went wrong inside is kept in {kept}")
        shutil.rmtree(self.home)

    def leave_up(self, url: str) -> None:
        """Keep the preview running and say how to go on."""
        self._left_up = True
        self.heading("left up, as you asked")
        self.say(f"click {url}, then:")
        where = f"PREVIEW_HOME={shlex.quote(str(self.home))} preview -C {shlex.quote(str(self.folder))}"
        self.say(f"  {where} promote {NAME} --allow deletes_data:public.customers.fax")
        self.say("and at the end `preview demo` again, or:")
        self.say(
            f"  neon-embedded stop --home {shlex.quote(str(self.home))} && rm -r {shlex.quote(str(self.home))}"
        )

    def say(self, text: str) -> None:
        """A line for the reader."""
        self._out.print(text, markup=False)

    def heading(self, text: str) -> None:
        """The next part."""
        self._out.print(f"\n[bold]== {text}[/]")

    def preview(self, *words: str, expect: Iterable[int] = (0,), quiet_result: bool = False) -> str:
        """Run a `preview` command, printed first; returns its standard output.

        Raises:
            StepFailed: its exit code is not expected.
        """
        self.say("$ preview " + " ".join(shlex.quote(word) for word in words))
        done = self._run(list(words), capture=True)
        if done.stdout and not quiet_result:
            self.say(done.stdout.rstrip("\n"))
        if done.returncode not in expect:
            raise StepFailed(
                f"`preview {words[0]}` ended with exit code {done.returncode}",
                hint="its message is above; `preview doctor` looks at this machine",
            )
        return done.stdout

    def json(self, *words: str) -> Any:
        """Run a `preview` command with --json, without printing it."""
        done = self._run([*words, "--json"], capture=True)
        return json.loads(done.stdout)

    def value(self, sql: str, *where: str) -> str:
        """One value by `preview psql`, without printing the command."""
        script = self.home / "query.sql"
        script.write_text(f"\\pset tuples_only\n\\pset format unaligned\n{sql};\n", encoding="utf-8")
        return self._run(["psql", *where, "--file", str(script)], capture=True).stdout.strip()

    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()

    def _run(self, words: list[str], *, capture: bool) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PREVIEW_HOME": str(self.home), "PREVIEW_STORE_URL": ""}
        sys.stdout.flush()
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", *words],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE if capture else None,
            check=False,
        )

    def write_settings(self) -> str:
        """Complete preview.toml for the shop; returns the runtime's kind."""
        from orchestrator import opening
        from preview import PreviewError

        runtime = opening.runtime(self.wanted_runtime)
        if reason := runtime.available():
            raise StepFailed(
                f"the {runtime.kind} runtime cannot be used: {reason}", hint="try --runtime process"
            )
        file = self.folder / "preview.toml"
        text = file.read_text(encoding="utf-8")
        text += 'command = ["python3", "app.py"]\n'
        if runtime.kind == "docker":
            try:
                runtime.image(LOCAL_BASE)
            except PreviewError:
                pass  # the Dockerfile's own base, from a registry
            else:
                text += f'build_args = {{ BASE = "{LOCAL_BASE}" }}\n'
        text += f'\n[runtime]\nkind = "{runtime.kind}"\n'
        file.write_text(text, encoding="utf-8")
        return runtime.kind


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


def leftovers(home: Path, preview_id: str, listed: list[dict[str, Any]]) -> list[str]:
    """What carries the preview's id and should not be there any more; empty is good."""
    from orchestrator import opening
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
                f"branch {branch.name}" for branch in neon.branches(project.id) if preview_id in branch.name
            ]
    found += [f"path {path}" for path in home.rglob(f"*{preview_id}*")]
    return found


def _shop() -> Path:
    """The example's folder: in the wheel as package data, in a checkout beside the packages."""
    package = Path(str(files("orchestrator")))
    for folder in (package / "demo_shop", package.parent / "examples" / "shop"):
        if (folder / "seed.sql").is_file():
            return folder
    raise OrchestratorError("the example shop is not installed", hint="run `preview demo` in a checkout")
