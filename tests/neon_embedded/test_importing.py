"""Bringing one's own data: from a running Postgres and from dumps; refused, failed and interrupted imports."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from neon_embedded.binaries import find_binaries
from neon_embedded.errors import ImportFailed
from neon_embedded.importing import import_database

from .conftest import Past

SHOP = """
drop schema if exists shop cascade; create schema shop;
create table shop.item (id int generated always as identity primary key, name text unique);
insert into shop.item (name) select 'item ' || n from generate_series(1, 1000) n;
create table shop.line (item int references shop.item, n int);
insert into shop.line select id, 1 from shop.item;
create view shop.total as select sum(n) from shop.line;
"""


@pytest.fixture(scope="module")
def source(past: Past) -> str:
    with past.world.connect(past.world.main) as connection:
        connection.execute(SHOP)
    return past.world.uri(past.world.main).reveal()


def assert_shop(past: Past, uri: str) -> None:
    with psycopg.connect(uri) as connection:
        assert connection.execute("select sum from shop.total").fetchone() == (1000,)
        row = connection.execute("insert into shop.item (name) values ('new') returning id").fetchone()
        assert row == (1001,)
        owner = connection.execute("select tableowner from pg_tables where tablename = 'item'").fetchone()
        assert owner == connection.execute("select current_user").fetchone()


def test_from_a_running_postgres(past: Past, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    popen = subprocess.Popen

    class Watched(popen):  # type: ignore[type-arg, misc, valid-type]
        def __init__(self, command: Any, *rest: Any, **more: Any) -> None:
            started.append([str(each) for each in command])
            assert password not in str(more.get("env"))
            super().__init__(command, *rest, **more)

    password = past.world.uri(past.world.main).password.reveal()
    monkeypatch.setattr(subprocess, "Popen", Watched)
    said: list[str] = []
    home = past.world.running.home
    client = past.world.client
    # What an interrupted import left is found by its name.
    left = client.create_project(name="mine (import not finished)").project
    made = import_database(home, source=source, name="mine", say=said.append)
    assert {Path(each[0]).name for each in started} >= {"pg_dump", "pg_restore"}
    assert password not in str(started) + str(said) + repr(made)
    assert [line for line in said if line.startswith("table")] == [
        "table 1 of 2: shop.item",
        "table 2 of 2: shop.line",
    ]
    assert_shop(past, made.uri.reveal())
    names = {each.id: each.name for each in client.projects()}
    assert names[made.project_id] == "mine"
    assert left.id not in names
    with pytest.raises(ImportFailed, match="already"):
        import_database(home, source=source, name="mine", say=said.append)
    client.delete_project(made.project_id)


@pytest.mark.parametrize("form", ["custom", "plain"])
def test_from_a_dump(past: Past, source: str, tmp_path: Path, form: str) -> None:
    home = past.world.running.home
    binaries = find_binaries(None, home)
    path = tmp_path / "shop.dump"
    subprocess.run([binaries.pg_dump, f"--dbname={source}", f"--format={form}", f"--file={path}"], check=True)
    made = import_database(home, source=str(path), name=form, say=lambda _: None)
    assert_shop(past, made.uri.reveal())
    past.world.client.delete_project(made.project_id)


def test_what_fails_leaves_nothing(past: Past, source: str, tmp_path: Path) -> None:
    home, client = past.world.running.home, past.world.client
    before = {each.id for each in client.projects()}
    password = past.world.uri(past.world.main).password.reveal()
    broken = tmp_path / "broken.sql"
    broken.write_text("create table t (n int);\ninsert into nowhere values (1);\n")
    text = tmp_path / "cut.dump"
    binaries = find_binaries(None, home)
    subprocess.run([binaries.pg_dump, f"--dbname={source}", "--format=custom", f"--file={text}"], check=True)
    text.write_bytes(text.read_bytes()[:-3000])
    for wrong, message in [
        (source.replace(password, "wrong-secret"), "password authentication failed"),
        (str(tmp_path / "none"), "does not exist"),
        ("postgresql://[", "not a URI"),
        (str(broken), "nowhere"),
        (str(text), "pg_restore"),
    ]:
        with pytest.raises(ImportFailed, match=message) as caught:
            import_database(home, source=wrong, name="wrong", say=lambda _: None)
        assert "wrong-secret" not in f"{caught.value.message} {caught.value.hint}"
    assert {each.id for each in client.projects()} == before


def test_the_command(past: Past, source: str, tmp_path: Path) -> None:
    """`neon-embedded import`: from a URI on standard input, from a dump; the id on stdout, all else on stderr."""
    home, client = past.world.running.home, past.world.client
    dump = tmp_path / "shop.sql"
    binaries = find_binaries(None, home)
    subprocess.run([binaries.pg_dump, f"--dbname={source}", f"--file={dump}"], check=True)
    password = past.world.uri(past.world.main).password.reveal()
    for name, where, given in (("by uri", "-", source + "\n"), ("by dump", str(dump), "")):
        done = command(home, "--from", where, "--name", name, given=given)
        assert done.returncode == 0, done.stderr
        made = done.stdout.strip()
        assert {each.id: each.name for each in client.projects()}[made] == name
        uri = client.connection_uri(
            made, branch_id=client.default_branch(made).id, database="neondb", role="neondb_owner"
        )
        assert_shop(past, uri.reveal())
        assert f"project {name!r}" in done.stderr
        assert password not in done.stderr
        if where == "-":
            assert "table 1 of 2: shop.item" in done.stderr
        client.delete_project(made)


def command(home: Path, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "neon_embedded", "import", "--home", str(home), *arguments]
    return subprocess.run(words, input=given, capture_output=True, text=True, timeout=120)


def test_the_command_with_wrong_input(past: Past, tmp_path: Path) -> None:
    home = past.world.running.home
    for source, message in (
        (str(tmp_path / "none"), "does not exist"),
        ("postgresql://[", "not a URI"),
    ):
        done = command(home, "--from", source, "--name", "wrong")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert command(home, "--name", "no source").returncode == 2
