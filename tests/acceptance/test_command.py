"""A migration tool's command as the goal, and a person's own steps: through the command line, on real databases."""

import httpx
import pytest

from tests.acceptance.tool import Tool


def test_what_the_command_makes_is_planned_rehearsed_and_promoted(tool: Tool) -> None:
    """A rename, a filled column and an index: proved by facts, carried by the plan, with the tool's own row."""
    tool.file(
        "migrations/2.sql",
        """
        alter table customers rename column name to full_name;
        alter table customers add column country text not null default 'AT';
        alter table customers alter column country drop default;
        create index customers_full_name on customers (full_name);
        """,
    )
    # Without a branch there is nowhere to run it.
    assert "needs a branch" in tool.preview("plan", expect=2).stderr
    done = tool.preview("up", "pr-1")
    assert "applying 2.sql" in done.stderr
    assert "connecting to postgresql://shop_owner:***@" in done.stderr
    assert "lock_timeout 2s" in done.stderr
    assert "row_security off" in done.stderr
    assert httpx.get(done.stdout.strip(), trust_env=False).status_code == 200
    ready = tool.json("show", "pr-1")
    sql = "\n".join(each["sql"] for each in ready["plan"]["statements"])
    assert "RENAME COLUMN name TO full_name" in sql
    assert "CONCURRENTLY" in sql
    assert "'2.sql'" in sql
    assert ready["report"]["verdict"] in {"ok", "attention"}
    assert "name" in tool.columns(tool.uri(), "customers")
    assert [each.name for each in tool.neon.branches(tool.project_id) if "-goal" in each.name] == []
    assert tool.preview("logs", "pr-1", "--migration").stdout.splitlines()[-1] == "applying 2.sql"

    tool.preview("promote", "pr-1")
    assert {"full_name", "country"} <= tool.columns(tool.uri(), "customers")
    assert tool.main("select distinct country from customers") == [("AT",)]
    assert tool.main("select id, version from schema_migrations order by id") == [(1, "1.sql"), (2, "2.sql")]
    # The tool agrees: nothing is left to do, and its next row has a number that is free.
    tool.file("migrations/3.sql", "alter table customers drop column fax;")
    tool.tool()
    assert tool.main("select max(id) from schema_migrations") == [(3,)]
    assert tool.leftovers(ready) == []


@pytest.mark.prove
def test_rows_that_only_the_command_changes_block_a_plan(tool: Tool) -> None:
    tool.file(
        "migrations/2.sql",
        """
        update customers set fax = null where id <= 10;
        create table settings (key text primary key, value text);
        insert into settings values ('colour', 'red');
        """,
    )
    ready = tool.json("up", "pr-1")
    said = tool.findings(ready, "command")
    assert any("blocked public.customers" in each and "fax" in each for each in said)
    assert any("blocked public.settings" in each and "1 rows" in each for each in said)
    refused = tool.preview("promote", "pr-1", expect=4)
    assert "the command left" in refused.stderr

    # The command itself carries them.
    tool.write(migration='promote_with = "command"')
    allowed = ("--allow", "command:public.customers", "--allow", "command:public.settings")
    changed = tool.preview("promote", "pr-1", *allowed, expect=4)
    assert "settings were changed" in changed.stderr
    ready = tool.json("up", "pr-1", "--fresh")
    assert ready["report"]["verdict"] in {"ok", "attention"}
    assert any("CREATE TABLE public.settings" in each["sql"] for each in ready["plan"]["statements"])
    tool.preview("promote", "pr-1")
    assert tool.main("select count(*) from customers where fax is null") == [(10,)]
    assert tool.main("select value from settings") == [("red",)]
    assert tool.main("select version from schema_migrations order by id") == [("1.sql",), ("2.sql",)]


@pytest.mark.prove
def test_a_command_that_fails_is_told_with_its_last_lines_and_tried_again(tool: Tool) -> None:
    tool.file("migrations/2.sql", "alter table customers add column x int; select 1/0;")
    failed = tool.preview("up", "pr-1", expect=1)
    assert "exited with code 1" in failed.stderr
    assert "division by zero" in failed.stderr
    assert tool.json("show", "pr-1")["state"] == "failed"
    assert "division by zero" in tool.preview("logs", "pr-1", "--migration").stdout
    assert "x" not in tool.columns(tool.uri(), "customers")

    tool.file("migrations/2.sql", "alter table customers add column x int;")
    assert tool.json("up", "pr-1")["state"] == "ready"
    # The app's folder changed: its migrations may have.
    tool.file("migrations/2.sql", "alter table customers add column y int;")
    assert "y" in str(tool.json("up", "pr-1")["plan"])


@pytest.mark.prove
def test_a_command_that_does_not_end_is_ended(tool: Tool) -> None:
    tool.write(migration="timeout_seconds = 2.5")
    tool.file("tool.py", "import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    assert "did not end within 2.5 s" in tool.preview("up", "pr-1", expect=1).stderr
    shown = tool.json("show", "pr-1")
    tool.preview("discard", "pr-1")
    assert tool.leftovers(shown) == []


STEPS = """
[[migration.steps]]
file = "steps/a fill.sql"
when = "before"
[[migration.steps]]
file = "steps/it's batched.sql"
when = "before_contract"
batch = true
[[migration.steps]]
file = "steps/index.sql"
when = "after"
transaction = false
"""


def own_steps(tool: Tool) -> None:
    tool.file("steps/a fill.sql", "update customers set fax = '0'\n  where fax is null;\n")
    tool.file(
        "steps/it's batched.sql",
        """
        update customers set label = name || ' ' || fax
        where id in (select id from customers where label is null limit 20)
        """,
    )
    tool.file(
        "steps/index.sql", "create index concurrently if not exists customers_label on customers (label);"
    )
    tool.write(steps=STEPS)
    tool.file(
        "migrations/2.sql",
        """
        alter table customers add column label text;
        update customers set label = name || ' ' || coalesce(fax, '0');
        alter table customers drop column fax;
        create index customers_label on customers (label);
        """,
    )
    tool.main("update customers set fax = null where id > 45")


def test_own_steps_run_once_with_the_plan_in_their_places(tool: Tool) -> None:
    own_steps(tool)
    ready = tool.json("up", "pr-1")
    statements = ready["plan"]["statements"]
    assert tool.findings(ready, "command") == []
    drop = next(i for i, each in enumerate(statements) if "preview_kept_" in each["sql"])
    batched = next(i for i, each in enumerate(statements) if each["batch"])
    added = next(i for i, each in enumerate(statements) if "ADD COLUMN" in each["sql"])
    assert added < batched < drop
    assert statements[batched]["trace"]["batches"] == 4
    assert statements[batched]["lock_on"] == ["public.customers"]
    assert statements[-2]["source"] == "steps/index.sql"

    # A file that changed after the rehearsal is not what was approved.
    tool.file("steps/a fill.sql", "update customers set fax = '1' where fax is null;")
    moved = tool.preview("promote", "pr-1", "--allow", "deletes_data", expect=4)
    assert "a fill.sql was changed" in moved.stderr
    tool.file("steps/a fill.sql", "update customers set fax = '0'\n  where fax is null;\n")

    tool.preview("promote", "pr-1", "--allow", "deletes_data")
    assert tool.main("select label from customers where id = 46") == [("customer 46 0",)]
    assert [
        file for (file,) in tool.main("select file from preview_internal.steps order by ran_at, file")
    ] == [
        "steps/a fill.sql",
        "steps/it's batched.sql",
        "steps/index.sql",
    ]
    # Once means once (test_command_kills.py), and a changed file is refused.
    tool.file("steps/a fill.sql", "update customers set name = 'x';")
    refused = tool.preview("up", "pr-2", expect=2)
    assert "ran already and has changed since" in refused.stderr
