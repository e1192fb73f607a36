"""A migration command in a container, with the app's own image: rehearsed, and run on main from there."""

import os
import subprocess

import httpx
import pytest

from preview.docker import DockerRuntime
from tests.acceptance.tool import FIRST, TOOL, Tool

pytestmark = pytest.mark.docker
DOCKERFILE = """
FROM preview-base:python3
WORKDIR /app
COPY . .
USER 65534:65534
CMD ["python3", "app.py"]
"""
NEXT = """
alter table customers add column country text not null default 'AT';
create index customers_name on customers (name);
"""


@pytest.fixture
def in_container(blank_tool: Tool) -> Tool:
    """The app and its tool in an image; production has run the first of its files."""
    if DockerRuntime().available() is not None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Docker engine answers")
        pytest.skip("no Docker engine answers")
    tool = blank_tool
    tool.runtime = "docker"
    tool.passed = {"LISTEN": "0.0.0.0"}
    tool.file("Dockerfile", DOCKERFILE)
    tool.file(".dockerignore", "preview.toml\n")
    tool.file("tool.py", TOOL)
    tool.file("migrations/1.sql", FIRST)
    tool.write()
    tool.tool()
    tool.file("migrations/2.sql", NEXT)
    return tool


def containers() -> list[str]:
    asked = subprocess.run(
        ["docker", "ps", "--all", "--format", "{{.Names}}"], capture_output=True, text=True, check=True
    )
    return asked.stdout.split()


def goes_to_main(tool: Tool) -> None:
    done = tool.preview("up", "pr-1")
    assert "| applying 2.sql" in done.stderr
    assert httpx.get(done.stdout.strip(), trust_env=False).text == "ok"
    ready = tool.json("show", "pr-1")
    assert ready["report"]["verdict"] in {"ok", "attention"}, ready["report"]
    assert [name for name in containers() if ready["id"] in name and name.endswith("-task")] == []
    assert tool.main("select version from schema_migrations") == [("1.sql",)]

    tool.preview("promote", "pr-1")

    assert tool.main("select version from schema_migrations order by 1") == [("1.sql",), ("2.sql",)]
    assert tool.main("select distinct country from customers") == [("AT",)]
    assert tool.main("select to_regclass('customers_name') is not null") == [(True,)]
    assert "applying" not in tool.tool()
    assert tool.leftovers(ready) == []


@pytest.mark.prove
def test_the_command_rehearses_in_the_apps_image(in_container: Tool) -> None:
    goes_to_main(in_container)


def test_the_command_runs_on_main_from_the_image_that_was_rehearsed(in_container: Tool) -> None:
    tool = in_container
    tool.write(migration='promote_with = "command"')
    # Rows that only the command changes: with it they get to main.
    tool.file("migrations/2.sql", NEXT + "update customers set fax = null where id <= 10;")
    goes_to_main(tool)
    assert tool.main("select count(*) from customers where fax is null") == [(10,)]


@pytest.mark.prove
def test_a_program_that_the_image_has_not_and_one_that_does_not_end(in_container: Tool) -> None:
    tool = in_container
    tool.migrate = ("no-such-tool", "upgrade")
    tool.write()
    assert "no-such-tool" in tool.preview("up", "pr-1", expect=1).stderr

    tool.migrate = ("python", "-c", "import time; print('begun', flush=True); time.sleep(600)")
    tool.write(migration="timeout_seconds = 3")
    late = tool.preview("up", "pr-1", expect=1).stderr
    assert "did not end within 3 s" in late
    shown = tool.json("show", "pr-1")
    assert [name for name in containers() if shown["id"] in name] == []
    tool.preview("discard", "pr-1")
    assert tool.leftovers(shown) == []
