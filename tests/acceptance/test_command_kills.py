"""kill -9 while a migration command or own steps run: the next run ends right, and each step ran once on main."""

import contextlib
import subprocess
import time
from typing import Any

import httpx
import psycopg
import pytest

from tests.acceptance.shop import processes_with
from tests.acceptance.test_kill import kill, start
from tests.acceptance.tool import Tool

UP = ("up", "pr-1")
PROMOTE = ("promote", "pr-1", "--allow", "command:public.customers", "--allow", "command:public.done")
#: Nothing of these may be done twice, nor left out. The pauses are what a kill can fall into.
ONCE = (
    "insert into done values ('once {n}');\nselect pg_sleep(0.21);\ninsert into done values ('twice {n}');\n"
)
BATCH = """
update customers set touched = touched + 1, seen = {n}
where id in (select id from customers where seen < {n} and pg_sleep(0.004) is not null limit 10)
"""
EACH = "vacuum customers;\nvacuum analyze customers;\n"
STEPS = """
[[migration.steps]]
file = "steps/{n}-once.sql"
when = "before"
[[migration.steps]]
file = "steps/{n}-batch.sql"
when = "before"
batch = true
[[migration.steps]]
file = "steps/{n}-each.sql"
when = "after"
transaction = false
"""
MIGRATION = """
alter table customers add column c_{n} int;
select pg_sleep(0.22);
create index customers_c_{n} on customers (c_{n});
"""
RUNS = (
    "select exists (select from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() "
    "and query like '%{}%')"
)
RAN = "select count(*) > {} from preview_internal.steps where file = 'steps/{{n}}-{}.sql'"
#: Where promote is killed: when main says yes.
POINTS = {
    "in a step's transaction": RUNS.format("pg_sleep(0.21)"),
    "in a batch": RUNS.format("touched + 1, seen = {n}"),
    "between batches": "select count(*) > 20 from customers where seen = {n}",
    "after the batches": RAN.format(0, "batch"),
    "in the command": RUNS.format("c_{n} int;%pg_sleep(0.22)"),
    "after the schema": "select count(*) > 0 from information_schema.columns where column_name = 'c_{n}'",
    "without transaction": RAN.format(0, "each"),
}
WAYS = {"plan": sorted({*POINTS} - {"in the command"}), "command": sorted(POINTS)}


def begin(tool: Tool, mode: str) -> None:
    tool.passed = {"TOOL_OF": tool.name}
    tool.main("alter table customers add column touched int default 1, add column seen int default 1")
    tool.main("create table done (what text)")
    tool.write(migration=f'promote_with = "{mode}"')


def a_new_version(tool: Tool, mode: str, number: int) -> None:
    """The next migration and the next steps; the old ones stay, as in anybody's repository."""
    n = str(number)
    tool.file(f"migrations/{n}.sql", MIGRATION.format(n=n))
    for name, text in (("once", ONCE), ("batch", BATCH), ("each", EACH)):
        tool.file(f"steps/{n}-{name}.sql", text.format(n=n))
    steps = "".join(STEPS.format(n=each) for each in range(2, number + 1))
    tool.write(migration=f'promote_with = "{mode}"', steps=steps)


def killed_after(tool: Tool, words: tuple[str, ...], seconds: float) -> bool:
    """Kill it after so long; whether it had not ended by itself."""
    running: subprocess.Popen[str] = start(tool, *words)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.communicate(timeout=seconds)
        return False
    kill(running)
    return True


def killed_when(tool: Tool, words: tuple[str, ...], query: str) -> bool:
    """Kill it when this is true on main; whether it had not ended by itself."""
    with psycopg.connect(tool.uri(), autocommit=True) as main:
        running: subprocess.Popen[str] = start(tool, *words)
        while main.execute(query.encode()).fetchone() != (True,):
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.communicate(timeout=0.01)
                return False
        kill(running)
        return True


def is_ready(tool: Tool, number: int) -> Any:
    ready = tool.json("show", "pr-1")
    assert ready["state"] == "ready"
    assert httpx.get(ready["url"], trust_env=False).text == "ok"
    branches = [each.name for each in tool.neon.branches(tool.project_id) if each.name.startswith("preview/")]
    assert branches == [ready["branch"]["name"]]
    steps_ran_once(tool, tool.uri(ready["branch"]["name"]), number)
    return ready


def steps_ran_once(tool: Tool, uri: str, number: int) -> None:
    numbers = range(2, number + 1)
    expected = sorted(f"{word} {n}" for word in ("once", "twice") for n in numbers)
    assert tool.on(uri, 'select what from done order by what collate "C"') == [(each,) for each in expected]
    assert tool.on(uri, "select distinct touched, seen from customers") == [(number, number)]
    parts = {"once": 1, "batch": 1, "each": 2}
    ledger = {(f"steps/{n}-{name}.sql", count) for n in numbers for name, count in parts.items()}
    assert set(tool.on(uri, "select file, count(*) from preview_internal.steps group by file")) == ledger


@pytest.mark.prove
@pytest.mark.parametrize("mode", [*WAYS])
def test_kill_matrix(tool: Tool, mode: str) -> None:
    """A kill of `up`, spread over its time, and one of `promote` at each point; 26 in all."""
    begin(tool, mode)
    a_new_version(tool, mode, 2)
    began = time.monotonic()
    tool.preview(*UP)
    whole = time.monotonic() - began
    tool.preview(*PROMOTE)
    steps_ran_once(tool, tool.uri(), 2)
    seen = {"up": 0, "promote": 0}
    for number, point in enumerate(WAYS[mode], 3):
        a_new_version(tool, mode, number)
        began = time.monotonic()
        if killed_after(tool, UP, whole * (number - 2.5) / len(WAYS[mode])):
            seen["up"] += 1
        else:
            whole = min(whole, time.monotonic() - began)  # the first found everything cold
        tool.preview(*UP)
        ready = is_ready(tool, number)

        killed = killed_when(tool, PROMOTE, POINTS[point].format(n=number))
        print(f"{mode}: promote killed {point}: {killed}", flush=True)
        seen["promote"] += killed
        again = tool.preview(*PROMOTE, expect=None)

        assert again.returncode == 0 or "there is no preview 'pr-1'" in again.stderr, again.stderr
        steps_ran_once(tool, tool.uri(), number)
        versions = tool.main("select version from schema_migrations order by id")
        assert versions == [(f"{n}.sql",) for n in range(1, number + 1)]
        assert tool.leftovers(ready) == []
        assert processes_with(f"TOOL_OF={tool.name}") == []
    print(f"{mode}: killed {seen}")
    assert min(seen.values()) >= len(WAYS[mode]) // 2
