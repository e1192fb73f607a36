"""Takes a committed change-over back for somebody who was killed in the middle of it. Imports nothing of ours.

A program. Its standard input ends with one line of JSON: where, the transaction's number, the statements that take it
back, and the number of whoever had begun to. It does nothing where that transaction was not committed, or was taken
back. Visitors wait meanwhile, so it hurries, and gives up.
"""

import json
import sys
import time

import psycopg

_SECONDS = 4.0
_LOCK_MS = 300
_LOOK_SECONDS = 0.01


def taken_back(uri: str, transaction: str, unless: str, statements: list[str], until: float) -> None:
    """Wait until it is known how both transactions ended; then, if only the first was committed, undo it in one act."""
    with psycopg.connect(
        uri, autocommit=True, connect_timeout=2, application_name="preview: take back a change-over"
    ) as main:
        while time.monotonic() < until:
            row = main.execute(
                "select pg_catalog.pg_xact_status(%s::text::xid8), pg_catalog.pg_xact_status(%s::text::xid8)",
                (transaction, unless or None),
            ).fetchone()
            if row is not None and "in progress" in row:
                time.sleep(_LOOK_SECONDS)
                continue
            if row is None or row[0] != "committed" or row[1] == "committed":
                return
            try:
                with main.transaction():
                    main.execute(f"set local lock_timeout = {_LOCK_MS}".encode())
                    for each in statements:
                        main.execute(each.encode())
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                continue
            return
    raise SystemExit("the change-over is not taken back: somebody was in the way")


def main() -> int:
    """Read the order; the last is what counts."""
    lines = [line for line in sys.stdin.read().splitlines() if line.strip()]
    if not lines:
        return 0
    order = json.loads(lines[-1])
    try:
        taken_back(
            order["uri"],
            order["transaction"],
            order["unless"],
            order["statements"],
            time.monotonic() + _SECONDS,
        )
    except psycopg.Error as error:
        raise SystemExit(f"the change-over is not taken back: {type(error).__name__}") from None
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
