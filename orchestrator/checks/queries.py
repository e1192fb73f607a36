"""Production's queries: read from pg_stat_statements, kept across restarts, shown without values. Never writes."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking
from orchestrator.database import Connection

#: What is not seen for so long is forgotten: the app has moved on.
KEPT_FOR = timedelta(days=30)
#: How many queries are kept at most, those that took most time; pg_stat_statements itself keeps 5,000 by default.
KEPT_AT_MOST = 2_000
#: How much of a query's text is shown, characters.
SHOWN = 200

HOW_TO_ENABLE = (
    "run CREATE EXTENSION pg_stat_statements on main (on a server of your own also shared_preload_libraries), "
    "or give an export: report.statements"
)
HOW_TO_GRANT = "grant pg_read_all_stats to the role that previews use"

# Identifiers, texts, dollar texts and comments, each taken whole, so that none is looked for inside another.
_TOKENS = re.compile(
    r'(?P<name>"(?:[^"]|"")*")|(?P<text>[eE]?\'(?:[^\'\\]|\'\'|\\.)*\')|(?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)'
    r"|(?P<comment>/\*.*?\*/|--[^\n]*)",
    re.DOTALL,
)
_NUMBER = re.compile(r"(?<![\w$.\"])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w\"])")
_PLANNED = re.compile(r"[(\s]*(?:select|insert|update|delete|merge|with|values|table)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One statement that production runs.

    Attributes:
        id: twelve hexadecimal characters, stable while main's objects keep their ids.
        role: who runs it.
        text: as PostgreSQL normalised it, without comments.
        calls: how often, over ``hours``.
        total_ms: its execution time in all, milliseconds.
        hours: how long it was watched.
    """

    id: str
    role: str
    text: str
    calls: int
    total_ms: float
    hours: float

    @property
    def calls_per_hour(self) -> float:
        """How often it runs; 0 when nobody knows since when it was counted."""
        return self.calls / self.hours if self.hours > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        return {
            "id": self.id,
            "role": self.role,
            "text": self.text,
            "calls": self.calls,
            "total_ms": round(self.total_ms, 3),
            "hours": round(self.hours, 4),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Query":
        """The reverse of to_json; further keys are left alone."""
        return cls(**{key: value[key] for key in ("id", "role", "text", "calls", "total_ms", "hours")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What pg_stat_statements held at one moment.

    Attributes:
        queries: with calls since ``since``; ``hours`` is that span.
        since: when counting began: an empty start after a restart, or somebody's reset.
        at: when it was read.
        hidden: texts that our role may not see.
        skipped: texts with values in them, which are not taken.
    """

    queries: tuple[Query, ...]
    since: datetime
    at: datetime
    hidden: int = 0
    skipped: int = 0


class NoStatistics(Exception):
    """The database has no pg_stat_statements."""


def query_id(role: str, *identity: str) -> str:
    """The stable id of a role's query."""
    return hashlib.sha256("\x1f".join((role, *identity)).encode()).hexdigest()[:12]


def is_planned(text: str) -> bool:
    """Whether it is a kind of statement that PostgreSQL plans; utilities may hold passwords and are never taken."""
    return _PLANNED.match(text) is not None


def without_comments(text: str) -> str:
    """The text without comments, which tools fill with requests and values."""
    return _TOKENS.sub(lambda found: " " if found["comment"] else found[0], text).strip().rstrip(";").rstrip()


def has_texts(text: str) -> bool:
    """Whether it holds a quoted value: then it was not normalised."""
    return any(found["text"] or found["dollar"] for found in _TOKENS.finditer(text))


def shown(text: str) -> str:
    """A query for eyes: one line of at most 200 characters, every value in it replaced."""
    masked = _TOKENS.sub(
        lambda found: " " if found["comment"] else "'…'" if found["text"] or found["dollar"] else found[0],
        text,
    )
    line = " ".join(_NUMBER.sub("…", masked).split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def read_queries(connection: Connection, *, timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Seen:
    """The queries of the connection's database, as pg_stat_statements counts them (Postgres docs, F.32).

    Args:
        connection: to main; a read-only one will do.
        timeout_ms: how long one query may take, milliseconds.

    Raises:
        NoStatistics: the extension is not in this database.
        psycopg.Error: it is, and cannot be read.
    """
    with looking(connection, timeout_ms=timeout_ms):
        row = connection.execute(
            "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace "
            "where e.extname = 'pg_stat_statements'"
        ).fetchone()
        if row is None:
            raise NoStatistics
        view, about = (
            sql.Identifier(row[0], name) for name in ("pg_stat_statements", "pg_stat_statements_info")
        )
        found = connection.execute(
            sql.SQL(
                "select s.queryid::text, r.rolname, min(s.query), sum(s.calls)::int8, sum(s.total_exec_time)::float8 "
                "from {} s join pg_roles r on r.oid = s.userid join pg_database d on d.oid = s.dbid "
                "where d.datname = current_database() group by 1, 2"
            ).format(view)
        ).fetchall()
        span = connection.execute(
            sql.SQL("select stats_reset, clock_timestamp() from {}").format(about)
        ).fetchone()
    if span is None:  # pragma: no cover - the view has one row, always
        raise NoStatistics
    since, at = span
    queries, hidden, skipped = [], 0, 0
    for identity, role, text, calls, total_ms in found:
        if identity is None:  # "<insufficient privilege>"
            hidden += 1
            continue
        plain = without_comments(text)
        if not is_planned(plain):
            continue
        if has_texts(plain):
            skipped += 1
            continue
        queries.append(
            Query(
                id=query_id(role, identity),
                role=role,
                text=plain,
                calls=calls,
                total_ms=total_ms,
                hours=_hours(at - since),
            )
        )
    return Seen(queries=tuple(queries), since=since, at=at, hidden=hidden, skipped=skipped)


def merged(kept: Mapping[str, Mapping[str, Any]], seen: Seen) -> dict[str, dict[str, Any]]:
    """What was kept and what is seen now, as one: a compute that restarts forgets, this does not.

    Args:
        kept: an earlier result, by the queries' ids.
        seen: what main says now.

    Returns:
        By id: the query's JSON with ``counted`` (calls and milliseconds as main said them), ``since``, ``at`` (last
        seen) and ``ran`` (last seen to have run again).
    """
    result = {
        key: dict(value)
        for key, value in kept.items()
        if seen.at - datetime.fromisoformat(value["at"]) <= KEPT_FOR
    }
    for query in seen.queries:
        old = result.get(query.id)
        calls, total_ms, hours = query.calls, query.total_ms, query.hours
        ran = seen.at.isoformat()
        if old is not None:
            if old["since"] == seen.since.isoformat():
                hours = _hours(seen.at - datetime.fromisoformat(old["at"]))
                if query.calls >= old["counted"][0]:  # else main made room for others and began anew with it
                    calls -= old["counted"][0]
                    total_ms -= old["counted"][1]
            ran = ran if calls else old["ran"]
            calls, total_ms, hours = (
                old["calls"] + calls,
                old["total_ms"] + max(0.0, total_ms),
                old["hours"] + hours,
            )
        whole = Query(
            id=query.id, role=query.role, text=query.text, calls=calls, total_ms=total_ms, hours=hours
        )
        result[query.id] = {
            **whole.to_json(),
            "counted": [query.calls, query.total_ms],
            "since": seen.since.isoformat(),
            "at": seen.at.isoformat(),
            "ran": ran,
        }
    most = sorted(result.items(), key=lambda each: (-each[1]["total_ms"], each[0]))[:KEPT_AT_MOST]
    return dict(most)


def still_run(kept: Mapping[str, Mapping[str, Any]], now: datetime) -> tuple[Query, ...]:
    """The kept queries that ran not too long ago; main itself keeps what nobody sends any more."""
    return tuple(
        Query.from_json(value)
        for value in kept.values()
        if now - datetime.fromisoformat(value["ran"]) <= KEPT_FOR
    )


def top(queries: Iterable[Query], count: int) -> tuple[Query, ...]:
    """The queries that took most time in all; then those that ran most often."""
    return tuple(sorted(queries, key=lambda each: (-each.total_ms, -each.calls, each.id))[:count])


def _hours(span: timedelta) -> float:
    return max(0.0, span.total_seconds() / 3600)
