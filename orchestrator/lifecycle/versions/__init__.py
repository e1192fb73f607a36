"""The store's tables, version by version: `NNNN.sql` files, each applied once. Knows nothing of what rows mean.

A file only adds (a table, a column with a default, an index), so that programs of the version before go on working
beside newer ones. One that cannot says in its first line `-- oldest: N`: older programs are refused from then on.
"""

import re
from importlib.resources import files

from orchestrator.database import Connection, lock_key
from orchestrator.errors import OrchestratorError

_OLDEST = re.compile(r"-- oldest: (\d+)\n")


def scripts() -> tuple[str, ...]:
    """The scripts in order; the first makes version 1."""
    folder = files(__name__)
    names = sorted(each.name for each in folder.iterdir() if re.fullmatch(r"\d{4}\.sql", each.name))
    return tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def upgrade(connection: Connection) -> None:
    """Bring the store to this program's version, all steps in one transaction; a newer one is left alone.

    Args:
        connection: an autocommit connection to the store's database.

    Raises:
        OrchestratorError: the store was written by a version that this program can not work with.
    """
    known = scripts()
    if _version(connection) < len(known):
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (lock_key("store", "schema"),))
            for number in range(_version(connection) + 1, len(known) + 1):
                text = known[number - 1]
                connection.execute(text.encode())
                connection.execute("update preview_control.version set version = %s", (number,))
                if oldest := _OLDEST.match(text):
                    connection.execute("update preview_control.version set oldest = %s", (int(oldest[1]),))
    row = connection.execute("select version, oldest from preview_control.version").fetchone()
    if row is None or row[1] > len(known):
        raise OrchestratorError(
            f"the store has version {row[0] if row else 'unknown'}, which programs of version {len(known)} "
            "cannot work with any more",
            hint="use the version of preview that last wrote to it, or a newer one",
        )


def _version(connection: Connection) -> int:
    """The store's version; 0 when it has no tables yet."""
    # Read from the table itself: to_regclass() may answer from a cache that is older than our lock.
    there = connection.execute(
        "select exists (select from pg_tables where schemaname = 'preview_control' and tablename = 'version')"
    ).fetchone()
    if not (there and there[0]):
        return 0
    row = connection.execute("select version from preview_control.version").fetchone()
    return int(row[0]) if row else 0
