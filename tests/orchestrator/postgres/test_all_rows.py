"""A role that policies bind: our sessions are told of rows that they would not see, the app's queries run as ever."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.checks.plans import as_the_app
from orchestrator.checks.preflight import preflight
from orchestrator.checks.report import Severity
from orchestrator.checks.rows import NOT_COUNTED, count_rows
from orchestrator.database import ROWS_HIDDEN, Connection
from orchestrator.errors import StatementFailed, StepFailed
from orchestrator.lifecycle import Preview, State, Wanted
from orchestrator.migration.own import own_step, pending
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.settings import Settings
from orchestrator.steps.border import translating
from orchestrator.steps.command import Command
from orchestrator.steps.project import NeonProject
from preview.process import ProcessRuntime

NOTES = """
create table notes (id int primary key, tenant int not null, text text);
insert into notes select i, i % 2, 'n' || nullif(i, 2) from generate_series(1, 10) i;
create policy own on notes using (tenant = current_setting('app.tenant', true)::int);
alter table notes enable row level security;
alter table notes force row level security;
"""


@dataclass(kw_only=True)
class There(NeonProject):
    """A project without a Neon, whose every branch is one database."""

    where: str = ""

    def uri(self, branch_id: str) -> Any:
        return self

    def reveal(self) -> str:
        return self.where


@pytest.fixture
def there(database: Callable[..., Any]) -> Iterator[Any]:
    made = database()
    made.run(f"create role {made.name}_app login; grant create on database {made.name} to {made.name}_app")
    made.run(f"alter schema public owner to {made.name}_app; set role {made.name}_app; {NOTES}")
    yield made
    made.run(f"drop owned by {made.name}_app cascade; drop role {made.name}_app")


@contextmanager
def reading(there: Any) -> Iterator[Connection]:
    project = There(
        neon=None, id="p", key="embedded/p", database=there.name,  # type: ignore[arg-type]
        where=there.uri.replace("user=postgres", f"user={there.name}_app"),
    )  # fmt: skip
    with project.connect_reading("br", "test") as connection:
        yield connection


def changing(there: Any) -> Callable[[], Connection]:
    def connect() -> Connection:
        project = There(
            neon=None, id="p", key="embedded/p", database=there.name,  # type: ignore[arg-type]
            where=there.uri.replace("user=postgres", f"user={there.name}_app"),
        )  # fmt: skip
        return project._connect("br", "test")

    return connect


def own(text: str) -> Plan:
    blocks = pending([own_step("fill.sql", text, when="before")], {})["before"]
    return Plan(base="", goal="", statements=tuple(each for block in blocks for each in block))


def test_rows_that_a_policy_hides_are_never_passed_over_in_silence(
    there: Any, database: Callable[..., Any]
) -> None:
    base = there.inspect()
    goal = database()
    goal.run(f"{NOTES.partition(';')[0]}; alter table notes alter column text set not null")
    plan = make_plan(base, goal.inspect(), assume_defaults=True).plan
    assert plan is not None

    with reading(there) as connection:
        assert count_rows(connection, ["public.notes"]) == {"public.notes": NOT_COUNTED}
        blind = [each for each in preflight(connection, plan) if each.severity is Severity.NOT_LOOKED_AT]
        assert blind
        assert all(ROWS_HIDDEN in each.message for each in blind)
        with pytest.raises(StepFailed, match="notes") as caught, translating("counting"):
            connection.execute("select count(*) from notes")
        assert caught.value.hint == ROWS_HIDDEN
        # The app's queries see what the app sees.
        connection.execute("set app.tenant = '1'")
        with as_the_app(connection, timeout_ms=1000):
            assert connection.execute("select count(*) from notes").fetchone() == (5,)
    for text in ("update notes set text = 'x' where text is null", "delete from notes"):
        with pytest.raises(StatementFailed, match=r'"notes".*fill.sql, line 1') as failed:
            apply(changing(there), own(text))
        assert failed.value.hint == ROWS_HIDDEN
    assert there.value("select count(text) from notes") == 9

    # Who means the policies says so in the step; who sees everything notices nothing.
    apply(changing(there), own("set local row_security = on; set local app.tenant = '1'; delete from notes"))
    assert there.value("select count(*) from notes") == 5
    there.run(f"drop schema preview_internal cascade; alter role {there.name}_app bypassrls")
    apply(changing(there), own("update notes set text = 'x' where text is null"))
    with reading(there) as connection:
        assert count_rows(connection, ["public.notes"]) == {"public.notes": 5}
    assert there.value("select count(text) from notes") == 5


class Here:
    """Runs the migration command on this machine, and main is a database of it."""

    host = "127.0.0.1"

    def __init__(self, home: Path, uri: str) -> None:
        self._runtime, self._uri = ProcessRuntime(home=home), uri

    def runtime(self, _: Preview) -> ProcessRuntime:
        return self._runtime

    def image(self, *_: Any) -> None: ...

    def reachable(self, _: Any, uri: Any) -> Any:
        return uri

    def passed_on(self) -> dict[str, str]:
        return {}

    def reveal(self) -> str:
        return self._uri


def test_a_migration_command_is_told_too(there: Any, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    preview = Preview(
        id="0123abcd", name="pr-1", project="p", state=State.PROMOTING, wanted=Wanted.READY, facts={}, error=None,
        created_by="ada", created_at=now, updated_at=now, expires_at=None,
    )  # fmt: skip
    here: Any = Here(tmp_path / "home", there.uri.replace("user=postgres", f"user={there.name}_app"))

    def promote(*texts: str) -> None:
        run = "import os, sys, psycopg\nwith psycopg.connect(os.environ['DATABASE_URL']) as db:\n"
        run += "    for each in sys.argv[1:]: db.execute(each)"
        project = {"id": "p", "database": "shop"}
        migration = {"command": [sys.executable, "-c", run, *texts], "promote_with": "command"}
        settings = {"project": project, "migration": migration, "directory": tmp_path}
        Command(Settings.model_validate(settings), here).promote(preview, here, lambda _: None)

    with pytest.raises(StepFailed) as refused:
        promote("delete from notes")
    assert refused.value.hint.startswith(ROWS_HIDDEN)
    assert there.value("select count(*) from notes") == 10
    promote("set row_security = on", "set app.tenant = '1'", "delete from notes")
    assert there.value("select count(*) from notes") == 5


def test_what_a_table_of_its_owner_is_checked_for_goes_on(there: Any) -> None:
    """Checks and indexes know no policies, and a table that is not forced hides nothing from its owner.

    A foreign key on a forced one would be called valid though the rows that are hidden were not looked at.
    """
    with changing(there)() as us:
        us.execute("alter table notes add check (id > 0); create index on notes (tenant)")
        us.execute("alter table notes alter column id type bigint")
        us.execute("create table kinds (id int primary key); insert into kinds values (0), (1)")
        key = "alter table notes add foreign key (tenant) references kinds"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            us.execute(key.encode())
        us.execute(f"{key} not valid".encode())
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            us.execute("delete from kinds")
        us.execute("alter table notes no force row level security; update notes set text = 'x'")
        us.execute("alter table notes validate constraint notes_tenant_fkey")
    assert there.value("select count(*) from notes where text = 'x'") == 10
