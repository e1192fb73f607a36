"""The ledger of a person's own steps, and the mark of a rehearsal: both in a schema that no snapshot sees.

The ledger is read here and written by a plan's statements; the mark stands on a preview's branch only.
"""

from orchestrator.database import Connection
from orchestrator.migration.own import LEDGER, Ledger
from orchestrator.postgres.ours import is_there
from orchestrator.schema.names import OURS

_MARK = f"{OURS}.rehearsal"


def read_ledger(connection: Connection) -> Ledger:
    """What ran here; empty where there is no ledger yet.

    Raises:
        Refused: the ledger is not ours.
    """
    if not is_there(connection, LEDGER):
        return {}
    rows = connection.execute(f"select file, part, digest from {LEDGER}".encode()).fetchall()  # noqa: S608 - a constant
    return {(str(file), int(part)): str(digest) for file, part, digest in rows}


def begun(connection: Connection) -> bool:
    """Whether a rehearsal began on this branch: what it changed may be rows, which no snapshot shows."""
    return is_there(connection, _MARK)


def begin(connection: Connection) -> None:
    """Mark a preview's branch, before anything changes on it."""
    connection.execute(f"create schema if not exists {OURS}".encode())
    connection.execute(f"create table if not exists {_MARK} ()".encode())
