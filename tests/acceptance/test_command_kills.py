"""kill -9 while a migration command or own steps run: the next run ends right, and each step ran once on main."""

import itertools
import subprocess
from typing import Any

import httpx
import pytest

from tests.acceptance.shop import processes_with
from tests.acceptance.test_kill import kill, start
from tests.acceptance.tool import Tool

#: Rounds of each way to promote; in each, `up` is killed and `promote` is killed.
ROUNDS = 6
UP = ("up", "pr-1")
PROMOTE = ("promote", "pr-1", "--allow", "command:public.customers", "--allow", "command:public.done")
#: Nothing of these may be done twice, nor left out. The pauses are what a kill can fall into.
ONCE = (
    "insert into done values ('once {n}');\nselect pg_sleep(0.2);\ninsert into done values ('twice {n}');\n"
)
BATCH = """
update customers set touched = touched + 1, seen = {n}
where id in (select id from customers where seen < {n} limit 10)
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
select pg_sleep(0.2);
create index customers_c_{n} on customers (c_{n});
"""


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


def lines_of(tool: Tool, words: tuple[str, ...]) -> int:
    return len(tool.preview(*words).stderr.splitlines())


def killed_after(tool: Tool, words: tuple[str, ...], lines: int) -> str:
    """Kill it when it has said so many lines; returns the last."""
    running: subprocess.Popen[str] = start(tool, *words)
    assert running.stderr is not None
    said = list(itertools.islice(running.stderr, lines))
    kill(running)
    return said[-1].strip()


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
@pytest.mark.parametrize("mode", ["plan", "command"])
def test_kill_matrix(tool: Tool, mode: str) -> None:
    """12 kills for each way to promote, spread over every line that `up` and `promote` say."""
    begin(tool, mode)
    a_new_version(tool, mode, 2)
    up, promote = lines_of(tool, UP), lines_of(tool, PROMOTE)
    steps_ran_once(tool, tool.uri(), 2)
    for round_ in range(ROUNDS):
        number = round_ + 3
        a_new_version(tool, mode, number)
        print(f"{mode}: up killed at:", killed_after(tool, UP, up * (2 * round_ + 1) // (2 * ROUNDS)))
        tool.preview(*UP)
        ready = is_ready(tool, number)

        print(
            f"{mode}: promote killed at:",
            killed_after(tool, PROMOTE, promote * (2 * round_ + 1) // (2 * ROUNDS)),
        )
        again = tool.preview(*PROMOTE, expect=None)

        assert again.returncode == 0 or "there is no preview 'pr-1'" in again.stderr, again.stderr
        steps_ran_once(tool, tool.uri(), number)
        versions = tool.main("select version from schema_migrations order by id")
        assert versions == [(f"{n}.sql",) for n in range(1, number + 1)]
        assert tool.leftovers(ready) == []
        assert processes_with(f"TOOL_OF={tool.name}") == []
