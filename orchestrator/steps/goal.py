"""The goal: the wanted schema, read from where the settings say. Writes nothing except a scratch database."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from orchestrator.database import Connection, connect
from orchestrator.errors import SettingsError, StepFailed
from orchestrator.postgres.dump import see
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.dumped import Seen
from orchestrator.schema.privileges import Compare
from orchestrator.settings import Settings
from orchestrator.steps.border import translating
from orchestrator.steps.project import NeonProject


class Goal:
    """Where the wanted schema comes from."""

    def __init__(self, project: NeonProject, settings: Settings) -> None:
        self._project = project
        self._settings = settings

    @property
    def description(self) -> str:
        """For a person: ``branch development``, ``$DEV_DATABASE_URL``, ``schema/``."""
        goal = self._settings.goal
        if self._settings.migration.command is not None:
            return "what the migration command makes"
        if goal.branch:
            return f"branch {goal.branch}"
        return f"${goal.url_env}" if goal.url_env else f"{goal.directory}/"

    @property
    def compare(self) -> Compare:
        """How much of its owners and grants counts."""
        return self._settings.compare

    def fingerprint_of(self, snapshot: Snapshot) -> str:
        """The fingerprint of all that counts in a snapshot of the goal."""
        return snapshot.fingerprint(privileges=self.compare is not Compare.IGNORE)

    def snapshot(self, branch_id: str | None, detail: Callable[[str], None]) -> Snapshot:
        """Read the wanted schema; arguments and errors as ``read``."""
        detail(f"reading the goal: {self.description}")
        with self._connection(branch_id) as connection, translating(f"inspecting {self.description}"):
            return inspect(connection)

    def read(self, branch_id: str | None, detail: Callable[[str], None]) -> tuple[Snapshot, Seen]:
        """Read the wanted schema, with our own eyes and with pg_dump's.

        Args:
            branch_id: the preview's branch, on which a scratch database may be made for a folder of DDL;
                None where there is none (`preview plan`).
            detail: told what is being done.

        Raises:
            SettingsError: the source does not exist.
            DatabaseUnreachable: it does not answer.
            StepFailed: a file of DDL fails; names the file and what PostgreSQL said.
        """
        detail(f"reading the goal: {self.description}")
        with self._connection(branch_id) as connection, translating(f"inspecting {self.description}"):
            return inspect(connection), see(connection)

    @contextmanager
    def _connection(self, branch_id: str | None) -> Iterator[Connection]:
        goal = self._settings.goal
        if self._settings.migration.command is not None:
            raise SettingsError(
                "the goal is what migration.command makes, which needs a branch to run on",
                hint="`preview up NAME` runs it on one, and `preview show NAME` prints the plan; or compare "
                "two databases: `preview plan --from URL --to URL`",
            )
        if goal.branch:
            with translating(f"looking for branch {goal.branch}"):
                branch = self._project.neon.find_branch(self._project.id, goal.branch)
            if branch is None:
                raise SettingsError(
                    f"project {self._project.id} has no branch {goal.branch!r}",
                    hint="set goal.branch in preview.toml to your development branch",
                )
            with self._project.connect_reading(branch.id, "read the goal") as connection:
                yield connection
        elif goal.url_env:
            url = os.environ.get(goal.url_env)
            if not url:
                raise SettingsError(
                    f"${goal.url_env} is not set (goal.url_env in preview.toml)",
                    hint=f"export {goal.url_env}=postgresql://... of the development database",
                )
            with connect(
                url,
                purpose="read the goal",
                patience_seconds=5,
                settings={"default_transaction_read_only": "on"},
            ) as connection:
                yield connection
        else:
            if branch_id is None:
                raise SettingsError(
                    "a goal that is a folder of DDL needs a branch to be loaded on",
                    hint="use `preview up`; or `preview plan --from URL --to URL` with two databases",
                )
            yield from self._scratch(branch_id, self._settings.path(goal.directory or ""))

    def _scratch(self, branch_id: str, folder: Path) -> Iterator[Connection]:
        """An empty database on the preview's branch with the folder's files loaded; gone afterwards."""
        files = sorted(folder.glob("*.sql"))
        if not files:
            raise SettingsError(f"{folder} holds no .sql file", hint="set goal.directory in preview.toml")
        name = "preview_goal"
        with self._project.connect_disposable(branch_id, "load the goal") as admin:
            drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            admin.execute(drop)
            admin.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
            try:
                parts = urlsplit(self._project.uri(branch_id).reveal())
                uri = urlunsplit((parts.scheme, parts.netloc, f"/{quote(name)}", parts.query, ""))
                with connect(uri, purpose="load the goal") as connection:
                    for file in files:
                        _load(connection, file)
                    yield connection
            finally:
                admin.execute(drop)


def _load(connection: Connection, file: Path) -> None:
    try:
        connection.execute(file.read_bytes())
    except psycopg.Error as error:
        message = str(error).strip().split("\n", 1)[0]
        raise StepFailed(
            f"{file.name}: PostgreSQL says {error.sqlstate}: {message}", hint=f"mend {file}"
        ) from None
