"""Takes a committed change-over back for somebody who was killed in the middle of it. Imports nothing of ours.

A program. Its standard input ends with one line of JSON: where, the transaction's number, the statements that take it
back, the number of whoever had begun to; the turn on main, and the session that had it. It does nothing where that
transaction was not committed, or was taken back, or where somebody else has the turn by now: he decides. Visitors wait
meanwhile, so it hurries, and gives up.
"""

import json
import sys
import time
from typing import Any

import psycopg

_SECONDS = 4.0
_LOCK_MS = 300
_IDLE_MS = 10_000
_LOOK_SECONDS = 0.01


_ENDS = "select pg_catalog.pg_xact_status(%s::text::xid8), pg_catalog.pg_xact_status(%s::text::xid8)"
_TURN = "select pg_catalog.pg_try_advisory_xact_lock(%s)"
_HOLDER = """
select pid from pg_catalog.pg_locks
where locktype = 'advisory' and granted and objsubid = 1 and ((classid::int8 << 32) | objid::int8) = %s
  and database = (select oid from pg_catalog.pg_database where datname = current_database())
"""


class NotTakenBack(Exception):
    """Somebody was in the way, or has the turn; says so."""


class _Busy(Exception):
    """The server has not noticed yet that the session which had the turn is dead."""


def taken_back(order: dict[str, Any], until: float) -> None:
    """Wait until it is known how both transactions ended; then, if only the first was committed, undo it in one act.

    Raises:
        NotTakenBack: it is there still.
        psycopg.Error: main is out of reach, or refused it.
    """
    with psycopg.connect(
        order["uri"], autocommit=True, connect_timeout=2, application_name="preview: take back a change-over"
    ) as main:
        while time.monotonic() < until:
            ends = main.execute(_ENDS, (order["transaction"], order["unless"] or None)).fetchone()
            assert ends is not None  # noqa: S101 - one row
            if "in progress" in ends:
                time.sleep(_LOOK_SECONDS)
                continue
            if ends[0] != "committed" or ends[1] == "committed":
                return
            try:
                with main.transaction():
                    _take_the_turn(main, order["turn"], order["holder"])
                    main.execute(f"set local lock_timeout = {_LOCK_MS}".encode())
                    main.execute(f"set local idle_in_transaction_session_timeout = {_IDLE_MS}".encode())
                    for each in order["statements"]:
                        main.execute(each.encode())
            except (_Busy, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                time.sleep(_LOOK_SECONDS)
                continue
            return
    raise NotTakenBack("somebody was in the way")


def _take_the_turn(main: Any, turn: int, dead: int) -> None:
    taken = main.execute(_TURN, (turn,)).fetchone()
    if taken[0]:
        return
    holder = main.execute(_HOLDER, (turn,)).fetchone()
    if holder is None or holder[0] == dead:
        raise _Busy
    raise NotTakenBack("somebody else changes production now")


def main() -> int:
    """Read the order; the last is what counts."""
    lines = [line for line in sys.stdin.read().splitlines() if line.strip()]
    if not lines:
        return 0
    order = json.loads(lines[-1])
    try:
        taken_back(order, time.monotonic() + _SECONDS)
    except NotTakenBack as error:
        raise SystemExit(f"the change-over is not taken back: {error}") from None
    except psycopg.Error as error:
        raise SystemExit(f"the change-over is not taken back: {type(error).__name__}") from None
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
