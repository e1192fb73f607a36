"""neonctl 5.0.1, unchanged from npm, against a fresh embedded server: exit 0 and right content."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from neon_client import ConnectionURI, NeonClient
from neon_embedded import Running

from .conftest import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Cli:
    """neonctl on one project; `ours` sets the stage, since every neonctl takes a second."""

    client: Client
    ours: NeonClient
    project: str

    def run(self, *arguments: str, expect: int = 0) -> Any:
        return self.client.run(*arguments, "--project-id", self.project, expect=expect)

    def json(self, *arguments: str) -> Any:
        return self.client.json(*arguments, "--project-id", self.project)

    def branch(self, prefix: str) -> tuple[str, str]:
        """A new branch of main: its name and id."""
        name = f"{prefix}-{uuid.uuid4().hex[:6]}"
        main = self.ours.default_branch(self.project).id
        return name, self.ours.create_branch(self.project, name=name, parent_id=main).branch.id

    def settle(self) -> None:
        """An answer of Neon's comes before its operations ended; so does ours on a busy machine."""
        self.ours.wait(self.project, self.ours.pending(self.project, None))

    def sql(self, branch_id: str, statement: str) -> list[Any]:
        self.settle()
        uri = self.ours.connection_uri(
            self.project, branch_id=branch_id, database="neondb", role="neondb_owner"
        )
        with psycopg.connect(uri.reveal(), autocommit=True, connect_timeout=30) as connection:
            cursor = connection.execute(statement.encode())
            return [row[0] for row in cursor.fetchall()] if cursor.description else []


@pytest.fixture(scope="module")
def ours(fresh: Running) -> Iterator[NeonClient]:
    with NeonClient(api_key=fresh.api_key, base_url=fresh.base_url) as client:
        yield client


@pytest.fixture(scope="module")
def cli(neonctl: Client, ours: NeonClient) -> Cli:
    made = neonctl.json("projects", "create", "--name", "shop")
    cli = Cli(client=neonctl, ours=ours, project=made["project"]["id"])
    cli.settle()
    main = ours.default_branch(cli.project).id
    cli.sql(main, "create table customers (id int primary key, name text not null)")
    cli.sql(main, "insert into customers values (1, 'Ada'), (2, 'Grace')")
    return cli


def names(branches: Any) -> set[str]:
    return {branch["name"] for branch in branches}


def test_projects_and_me(cli: Cli, neonctl: Client) -> None:
    assert [each["id"] for each in neonctl.json("projects", "list")["projects"]] == [cli.project]
    assert neonctl.json("projects", "get", cli.project)["name"] == "shop"
    assert neonctl.json("me")["login"] == "embedded"


def test_projects_are_renamed_and_deleted(cli: Cli, neonctl: Client) -> None:
    made = neonctl.json("projects", "create", "--name", "short", "--database", "wine", "--role", "sommelier")
    project = made["project"]["id"]
    uri = ConnectionURI(made["connection_uris"][0]["connection_uri"])
    assert (uri.database, uri.role) == ("wine", "sommelier")
    assert neonctl.json("projects", "update", project, "--name", "shorter")["name"] == "shorter"
    neonctl.run("projects", "delete", project)
    assert [each.id for each in cli.ours.projects()] == [cli.project]


def test_branches_come_and_go(cli: Cli) -> None:
    made = cli.json("branches", "create", "--name", "preview/pr-1")
    identity = made["branch"]["id"]
    assert [each["branch_id"] for each in made["endpoints"]] == [identity]
    listed = {each["id"]: each for each in cli.json("branches", "list")}
    assert listed[identity]["name"] == "preview/pr-1"
    assert [each["name"] for each in listed.values() if each["default"]] == ["main"]
    got = cli.json("branches", "get", "preview/pr-1")
    assert (got["id"], got["parent_id"] in listed, got["current_state"]) == (identity, True, "ready")
    assert cli.json("branches", "rename", "preview/pr-1", "pr-2")["id"] == identity
    assert cli.ours.branch(cli.project, identity).name == "pr-2"
    cli.run("branches", "delete", "pr-2")
    assert cli.ours.find_branch(cli.project, "pr-2") is None
    assert "not found" in cli.run("branches", "get", "pr-2", expect=1).stderr.lower()


def test_a_branch_without_compute_gets_one(cli: Cli) -> None:
    cli.run("branches", "create", "--name", "bare", "--no-compute")
    bare = cli.ours.find_branch(cli.project, "bare")
    assert bare is not None
    identity = bare.id
    assert cli.ours.endpoints(cli.project, identity) == ()
    cli.run("branches", "add-compute", "bare", "--type", "read_write")
    assert [each.type for each in cli.ours.endpoints(cli.project, identity)] == ["read_write"]
    assert cli.sql(identity, "select count(*) from customers") == [2]


def test_connection_string_and_psql(cli: Cli) -> None:
    name, identity = cli.branch("psql")
    uri = cli.run("connection-string", name).stdout.strip()
    assert uri.startswith("postgresql://neondb_owner:")
    assert uri.endswith("/neondb?sslmode=require&channel_binding=require")
    of_ours = cli.ours.connection_uri(cli.project, branch_id=identity, database="neondb", role="neondb_owner")
    parsed = ConnectionURI(uri)
    [endpoint] = cli.ours.endpoints(cli.project, identity)
    assert (f"{parsed.host}:{parsed.port}", parsed.password) == (endpoint.host, of_ours.password)
    with psycopg.connect(uri, connect_timeout=30) as connection:
        assert connection.execute("select count(*) from customers").fetchone() == (2,)
    names_of = ("--", "--no-psqlrc", "-Atc", "select name from customers order by id")
    asked = cli.client.run("psql", name, "--project-id", cli.project, *names_of)
    assert asked.stdout.split() == ["Ada", "Grace"]


def test_databases_and_roles(cli: Cli) -> None:
    name, identity = cli.branch("objects")
    of = ("--branch", name)
    role = cli.json("roles", "create", *of, "--name", "app")
    assert (role["name"], bool(role["password"])) == ("app", True)
    assert names(cli.json("roles", "list", *of)) == {"neondb_owner", "app"}
    cli.json("databases", "create", *of, "--name", "second", "--owner-name", "app")
    assert {(each["name"], each["owner_name"]) for each in cli.json("databases", "list", *of)} == {
        ("neondb", "neondb_owner"),
        ("second", "app"),
    }
    cli.run("databases", "delete", "second", *of)
    cli.run("roles", "delete", "app", *of)
    assert [each.name for each in cli.ours.databases(cli.project, identity)] == ["neondb"]
    assert [each.name for each in cli.ours.roles(cli.project, identity)] == ["neondb_owner"]


def test_operations(cli: Cli) -> None:
    _, identity = cli.branch("operations")
    cli.settle()
    listed = cli.json("operations", "list")
    mine = {each["action"]: each["status"] for each in listed if each.get("branch_id") == identity}
    assert mine == {"create_branch": "finished", "start_compute": "finished"}
    assert listed[0]["created_at"] >= listed[-1]["created_at"]


def test_set_default(cli: Cli) -> None:
    name, identity = cli.branch("crown")
    main = cli.ours.default_branch(cli.project)
    cli.run("branches", "set-default", name)
    cli.settle()
    assert cli.ours.default_branch(cli.project).id == identity
    assert "default" in cli.run("branches", "delete", name, expect=1).stderr
    cli.run("branches", "set-default", main.name)
    assert cli.ours.default_branch(cli.project).id == main.id


def test_schema_diff_shows_the_previews_migration(cli: Cli) -> None:
    name, identity = cli.branch("diff")
    same = cli.run("branches", "schema-diff", "main", name, "--database", "neondb").stdout
    assert "customers" not in same
    cli.sql(identity, "alter table customers add column email text")
    shown = cli.run("branches", "schema-diff", "main", name, "--database", "neondb").stdout
    changed = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    assert "+    email text" in changed
    assert not [line for line in changed if line.startswith("-") and "email" in line]


def test_reset_from_parent(cli: Cli) -> None:
    name, identity = cli.branch("reset")
    cli.sql(identity, "delete from customers")
    before = cli.ours.endpoints(cli.project, identity)[0].host
    assert cli.json("branches", "reset", name, "--parent")["id"] == identity
    assert cli.sql(identity, "select count(*) from customers") == [2]
    assert cli.ours.endpoints(cli.project, identity)[0].host == before


def test_restore_keeps_the_old_state_under_a_name(cli: Cli) -> None:
    source, source_id = cli.branch("source")
    cli.sql(source_id, "insert into customers values (3, 'Barbara')")
    target, target_id = cli.branch("target")
    cli.sql(target_id, "delete from customers")
    cli.run("branches", "restore", target, source, "--preserve-under-name", f"{target}-old")
    assert cli.sql(target_id, "select count(*) from customers") == [3]
    assert cli.ours.find_branch(cli.project, f"{target}-old") is not None
    assert cli.ours.branch(cli.project, target_id).name == target


def test_set_context_saves_the_project(cli: Cli, neonctl: Client) -> None:
    file = neonctl.folder / ".neon"
    neonctl.run("set-context", "--project-id", cli.project)
    try:
        assert json.loads(file.read_text())["projectId"] == cli.project
        assert "main" in names(neonctl.json("branches", "list"))
    finally:
        file.unlink()


def test_nothing_is_left(cli: Cli, fresh: Running) -> None:
    """The last one of this module: the project goes with all branches, on the disk too."""
    cli.ours.delete_project(cli.project)
    assert list((fresh.home / "branches").iterdir()) == []
