"""Alembic and Django, as PyPI has them: planned, rehearsed, promoted; afterwards they find nothing to do."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.tool import Tool
from tests.contract.fetched import migration_tools

PROJECTS = Path(__file__).parent / "tools"
#: The same as the tool's data step in Python, as a step that the plan carries.
FILL = """
update {table} set family_name = split_part(name, ' ', 2)
where id in (select id from {table} where coalesce(family_name, '') = '' limit 20)
"""
STEP = """
[[migration.steps]]
file = "fill.sql"
batch = true
"""


def begin(tool: Tool, project: str, *migrate: str) -> None:
    """The project's folder as it was when production ran its first migration."""
    tool.migrate = ("python", *migrate)
    tool.passed = {"PYTHONPATH": str(migration_tools()), "PYTHONDONTWRITEBYTECODE": "1"}
    shutil.copytree(
        PROJECTS / project,
        tool.folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", "0002*", "0003*", "models.py"),
    )
    tool.write()
    tool.tool()
    shutil.copytree(
        PROJECTS / project,
        tool.folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )


def by_plan(tool: Tool, table: str, *answers: str) -> str:
    """Up and promote with the generated plan and a step for the data; returns the plan's text."""
    tool.file("fill.sql", FILL.format(table=table))
    tool.write(steps=STEP)
    ready = tool.json("up", "pr-1", *answers)
    assert ready["report"]["verdict"] in {"ok", "attention"}, ready["report"]
    assert tool.findings(ready, "command") == []
    assert "family_name" not in tool.columns(tool.uri(), table)
    tool.preview("promote", "pr-1")
    assert tool.main(f"select distinct family_name = split_part(name, ' ', 2) from {table}") == [(True,)]
    assert tool.leftovers(ready) == []
    return "\n".join(each["sql"] for each in ready["plan"]["statements"])


def test_alembic(blank_tool: Tool) -> None:
    tool = blank_tool
    begin(tool, "alembic", "-m", "alembic", "upgrade", "head")
    assert tool.main("select version_num from alembic_version") == [("0001",)]

    # NOT NULL, and each row has a value of its own: a placeholder first, which the step replaces.
    sql = by_plan(tool, "customers", "--answer", "fill:public.customers.family_name=''")
    assert "CONCURRENTLY" in sql
    assert "'0003'" in sql

    assert tool.main("select version_num from alembic_version") == [("0003",)]
    assert "0003 (head)" in tool.tool("python", "-m", "alembic", "current")
    tool.tool()  # what is done already would fail if it were done again


@pytest.mark.prove
def test_django(blank_tool: Tool) -> None:
    tool = blank_tool
    begin(tool, "django", "manage.py", "migrate", "--noinput")

    by_plan(tool, "shop_customer")

    assert_django_is_done(tool)
    assert tool.json("up", "pr-2")["plan"]["statements"] == []


@pytest.mark.prove
def test_a_data_step_in_python_blocks_a_plan_and_is_run_by_the_command(blank_tool: Tool) -> None:
    tool = blank_tool
    begin(tool, "django", "manage.py", "migrate", "--noinput")
    ready = tool.json("up", "pr-1")
    assert any(
        "blocked public.shop_customer" in each and "family_name" in each
        for each in tool.findings(ready, "command")
    )
    assert "the command left" in tool.preview("promote", "pr-1", expect=4).stderr

    tool.write(migration='promote_with = "command"')
    ready = tool.json("up", "pr-1", "--fresh")
    assert ready["report"]["verdict"] in {"ok", "attention"}, ready["report"]
    tool.preview("promote", "pr-1")

    assert tool.main("select count(*) from shop_customer where family_name is null") == [(0,)]
    assert_django_is_done(tool)
    assert tool.leftovers(ready) == []


def assert_django_is_done(tool: Tool) -> None:
    shown = tool.tool("python", "manage.py", "showmigrations")
    assert "[X] 0003_orders" in shown
    assert "[ ]" not in shown
    assert "No planned migration operations" in tool.tool("python", "manage.py", "migrate", "--plan")
    # What `migrate` writes beside its own table for a new model.
    types = "select model from django_content_type where app_label = 'shop' order by 1"
    assert tool.main(types) == [("customer",), ("order",)]
    assert tool.main("select count(*) from auth_permission where codename like '%\\_order'") == [(4,)]
