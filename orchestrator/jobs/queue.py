"""The queue: procrastinate in a schema of its own in the store's database. Knows no act.

Its tables are made and brought to the installed version here. Steps that older workers bear (`pre`) are taken at once,
those that they do not (`post`) when no worker of another version lives.
"""

import hashlib
import logging
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.schema import SchemaManager, migrations_path
from psycopg import sql

from orchestrator.database import Connection, lock_key

_log = logging.getLogger("preview.queue")

SCHEMA = "preview_jobs"
#: How often a worker says that it lives, and after how long a silent one is taken for dead, in seconds.
HEARTBEAT_SECONDS = 2.0
STALLED_SECONDS = 15.0
PERFORM, RECONCILE = "perform", "reconcile"


def open_app(uri: str, *, threads: bool) -> App:
    """The queue's application, not opened yet.

    Args:
        uri: of the store's database.
        threads: for putting jobs in from threads; else for a worker's event loop.
    """
    arguments: dict[str, Any] = {
        "conninfo": uri,
        "min_size": 1,
        "max_size": 4,
        # The search path is what puts the queue's tables into a schema of their own.
        "configure": _configure_sync if threads else _configure,
        "kwargs": {"application_name": "preview: queue", "keepalives_idle": 30, "connect_timeout": 10},
    }
    connector = SyncPsycopgConnector(**arguments) if threads else PsycopgConnector(**arguments)
    return App(connector=connector)


_PATH = f"set search_path to {SCHEMA}"


def _configure_sync(connection: Any) -> None:
    connection.execute(_PATH)
    connection.commit()


async def _configure(connection: Any) -> None:
    await connection.execute(_PATH)
    await connection.commit()


def queue_of(project: str, kind: str = "previews") -> str:
    """The name of a project's queue: workers of one project leave the others' alone.

    It becomes part of a channel's name, of which PostgreSQL takes 63 bytes: a project's key may be longer.
    """
    return f"{kind} {hashlib.sha256(project.encode()).hexdigest()[:16]}"


def put(app: App, task: str, *, project: str, lock: str | None, once: str, **arguments: str) -> bool:
    """Put a job into the queue, unless one with the same `once` waits there already; says whether it did.

    Args:
        app: see open_app; opened.
        task: which.
        project: whose queue.
        lock: jobs with the same lock run one after another.
        once: the queueing lock.
        arguments: the task's.
    """
    try:
        app.configure_task(task, queue=queue_of(project), lock=lock, queueing_lock=once).defer(**arguments)
    except AlreadyEnqueued:
        return False
    except ConnectorException as error:
        # Whoever looks round finds that it is in no queue, and puts it there.
        _log.warning("the queue took no job: %s", type(error.__cause__).__name__)
        return False
    return True


@cache
def _steps() -> tuple[str, ...]:
    """The names of procrastinate's own migrations, in order."""
    return tuple(sorted(each.name for each in Path(migrations_path).glob("*.sql")))


def install(connection: Connection) -> None:
    """Make the queue's tables, or bring them to the installed version; again is harmless, also two at once.

    Args:
        connection: an autocommit connection to the store's database.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (lock_key("queue", "schema"),))
        connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(SCHEMA)))
        connection.execute(
            sql.SQL(
                "create table if not exists {}.step (name text primary key, version text not null)"
            ).format(sql.Identifier(SCHEMA))
        )
        connection.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(SCHEMA)))
        done = {name for (name,) in connection.execute("select name from step").fetchall()}
        if not done:
            connection.execute(SchemaManager.get_schema().encode())
            missing: tuple[str, ...] = _steps()
        else:
            missing = tuple(name for name in _steps() if name not in done)
            if any("_post_" in name for name in missing) and _somebody_works(connection):
                first = next(i for i, name in enumerate(missing) if "_post_" in name)
                missing = missing[:first]
            for name in missing:
                connection.execute((Path(migrations_path) / name).read_bytes())
        ours = version("procrastinate")
        with connection.cursor() as cursor:
            cursor.executemany("insert into step values (%s, %s)", [(name, ours) for name in missing])


def workers_alive(connection: Connection) -> int:
    """How many worker processes said lately that they live; of all projects."""
    row = connection.execute(
        sql.SQL(
            "select count(*) from {}.procrastinate_workers "
            "where last_heartbeat > now() - make_interval(secs => %s)"
        ).format(sql.Identifier(SCHEMA)),
        (STALLED_SECONDS,),
    ).fetchone()
    # Each process has two: one for jobs, one for what looks after the others.
    return (int(row[0]) + 1) // 2 if row else 0


def _somebody_works(connection: Connection) -> bool:
    """Whether a worker lives: it may be of an older version."""
    row = connection.execute(
        "select exists (select from procrastinate_workers "
        "where last_heartbeat > now() - make_interval(secs => %s))",
        (STALLED_SECONDS,),
    ).fetchone()
    return bool(row and row[0])
