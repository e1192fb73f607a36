"""Every hazard of the catalogue beside a live reader and writer: the unsafe text hurts them, the safe one does not.

Decided by what waits for whose lock and by what fails, never by how long something takes.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.migration.hazards import CATALOGUE
from orchestrator.postgres.trace import StatementTrace, Tracer

FOLDER = Path(__file__).parents[2] / "cases" / "hazards"

#: What people's queries do meanwhile.
READS = "SELECT count(*) FROM public.orders"
WRITES = "UPDATE public.orders SET customer = customer WHERE id = 50"


def statements(folder: Path, name: str) -> list[str]:
    return [each.strip() for each in (folder / name).read_text().split(";\n") if each.strip()]


def waits(other: Any, query: str) -> bool:
    """Whether another session would wait for us: PostgreSQL says so when its patience ends."""
    try:
        other.execute(query)
    except psycopg.errors.LockNotAvailable:
        return True
    return False


def observed(home: Any, folder: Path, name: str, afterwards: str | None) -> set[str]:
    seen: set[str] = set()
    with home.connect("migrates") as own, home.connect("reads and writes") as other:
        other.execute("SET lock_timeout = '50ms'")
        own.execute("SET client_min_messages = debug1")
        for text in statements(folder, name):
            try:
                if "CONCURRENTLY" in text:
                    seen |= _beside(home, own, other, text)
                    continue
                with own.transaction(), Tracer(own) as tracer:
                    trace = tracer.run(0, text, in_transaction=True)
                    seen |= _hurt(trace, text, other)
            except psycopg.Error:
                seen.add("fails")
        if afterwards:
            try:
                other.execute(afterwards)
            except psycopg.Error:
                seen.add("fails afterwards")
    return seen


def _beside(home: Any, own: Any, other: Any, text: str) -> set[str]:
    """Who waits for a statement outside of transactions, looked at while it waits for an older writer itself."""
    failures: list[psycopg.Error] = []

    def run() -> None:
        try:
            own.execute(text)
        except psycopg.Error as error:
            failures.append(error)

    with home.connect("older writer") as older:
        older.execute("BEGIN")
        older.execute(WRITES.replace("50", "49"))
        running = threading.Thread(target=run)
        running.start()
        asked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s"
        while running.is_alive() and not other.execute(asked, (own.info.backend_pid,)).fetchone()[0]:
            pass
        waiting = running.is_alive()
        found = {"writes wait for its work"} if waits(other, WRITES) else set()
        found |= {"reads wait for its work"} if waits(other, READS) else set()
        older.execute("ROLLBACK")
        running.join()
    assert waiting, "it did not wait for the older writer, so nothing was looked at"
    return found | ({"fails"} if failures else set())


def _hurt(trace: StatementTrace, text: str, other: Any) -> set[str]:
    """Who waits for a statement that works on rows; a strong lock for a moment is not the danger."""
    works = any(not said.startswith("existing constraints") for said in trace.notices)
    found = {"rewritten"} if "public.orders" in trace.rewritten else set()
    if works and waits(other, READS):
        found.add("reads wait for its work")
    elif works and waits(other, WRITES):
        found.add("writes wait for its work")
    return found


def test_every_hazard_has_both_texts() -> None:
    for code in CATALOGUE:
        for name in ("setup.sql", "unsafe.sql", "safe.sql", "expect.json"):
            assert (FOLDER / code / name).is_file(), f"{code}/{name}"


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_unsafe_hurts_and_safe_does_not(code: str, database: Callable[..., Any]) -> None:
    expected = json.loads((FOLDER / code / "expect.json").read_text())
    for name in ("unsafe.sql", "safe.sql"):
        home = database()
        home.run((FOLDER / code / "setup.sql").read_text())
        seen = observed(home, FOLDER / code, name, expected.get("afterwards"))
        wanted = set(expected["unsafe"]) if name == "unsafe.sql" else set()
        assert wanted <= seen if wanted else seen == set(), (name, seen)
