"""Generic plans of queries, and what of them is compared: cost, sequential scans, indexes. Plans only, runs nothing."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from orchestrator.checks.looking import ask, looking, reason
from orchestrator.database import Connection

#: How long one query may be planned, and all of them together.
PLAN_TIMEOUT_MS = 5_000
ALL_SECONDS = 60.0

#: Normalising makes ``interval $1`` of ``interval '1 day'``, which no parser takes; these are written as casts.
_TYPED = re.compile(r"\b(interval|date|time|timetz|timestamp|timestamptz)\s+(\$\d+)", re.IGNORECASE)
_NAME = "preview_check"
#: SQLSTATEs that say nothing of the query itself: cancelled, locks, resources, connection (Postgres docs, appendix A).
_PASSING = ("57", "55", "53", "08", "40")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is remembered of a plan.

    Attributes:
        cost: the planner's total cost, in its own units.
        scans: (table, oid) that it reads sequentially.
        indexes: (index, oid) that it uses.
    """

    cost: float
    scans: tuple[tuple[str, int], ...] = ()
    indexes: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """``{"cost", "scans", "indexes"}``."""
        return {"cost": self.cost, "scans": [*self.scans], "indexes": [*self.indexes]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A query that cannot be planned.

    Attributes:
        code: SQLSTATE.
        said: the server's first line, without values.
        passing: whether it says nothing of the query: a time-out, a lock.
    """

    code: str
    said: str
    passing: bool = False

    def to_json(self) -> dict[str, Any]:
        """``{"code", "said", "passing"}``."""
        return {"code": self.code, "said": self.said, "passing": self.passing}


Planned = Shape | Failure


def planned_from_json(value: Mapping[str, Any]) -> Planned:
    """A shape or a failure from its JSON."""
    if "code" in value:
        return Failure(code=value["code"], said=value["said"], passing=value["passing"])
    return Shape(
        cost=value["cost"],
        scans=tuple((name, oid) for name, oid in value["scans"]),
        indexes=tuple((name, oid) for name, oid in value["indexes"]),
    )


def explain_all(
    connection: Connection,
    texts: Mapping[str, str],
    *,
    timeout_ms: int = PLAN_TIMEOUT_MS,
    all_seconds: float = ALL_SECONDS,
) -> dict[str, Planned]:
    """Plan every query without values for its parameters; nothing is executed.

    Args:
        connection: to a branch.
        texts: normalised queries by id.
        timeout_ms: how long one may be planned, milliseconds.
        all_seconds: when this time is over the rest is left out of the result, seconds.

    Returns:
        By id; an id is missing when its turn did not come.
    """
    until = time.monotonic() + all_seconds
    result: dict[str, Planned] = {}
    with as_the_app(connection, timeout_ms=timeout_ms):
        oids = {
            (schema, name): oid
            for schema, name, oid in connection.execute(
                "select n.nspname, c.relname, c.oid::int8 from pg_catalog.pg_class c "
                "join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'm', 'i')"
            )
        }
        connection.execute("select set_config('plan_cache_mode', 'force_generic_plan', true)")
        for key, text in texts.items():
            if time.monotonic() > until:
                break
            written = _TYPED.sub(r"(\2)::\1", text)
            try:
                tree = _generic(connection, written)
            except psycopg.Error as error:
                if connection.closed or error.sqlstate is None:
                    raise
                passing = error.sqlstate.startswith(_PASSING)
                result[key] = Failure(code=error.sqlstate, said=reason(error), passing=passing)
            else:
                result[key] = shape_of(tree, oids)
    return result


@contextmanager
def as_the_app(connection: Connection, *, timeout_ms: int) -> Iterator[None]:
    """A read-only look that finds tables and rows as the app's sessions do: by the search_path, and by policies."""
    row = connection.execute("show search_path").fetchone()
    with looking(connection, timeout_ms=timeout_ms):
        connection.execute(
            "select set_config('search_path', %s, true), set_config('row_security', 'on', true)",
            (row[0] if row else "",),
        )
        yield


def _generic(connection: Connection, text: str) -> Mapping[str, Any]:
    """The generic plan: prepared, so that the server finds the parameters' types, then explained with NULLs.

    EXPLAIN (GENERIC_PLAN) would do from PostgreSQL 16 on, but only by the simple protocol, where a text may hold two
    statements; PREPARE takes exactly one. A prepared statement outlives a rollback, so it is taken away by hand.
    """
    with connection.transaction():
        _run(connection, f"prepare {_NAME} as {text}")
    try:
        with connection.transaction(force_rollback=True):
            row = connection.execute(
                "select coalesce(cardinality(parameter_types), 0) from pg_catalog.pg_prepared_statements "
                "where name = %s",
                (_NAME,),
            ).fetchone()
            nulls = ", ".join(["null"] * (row[0] if row else 0))
            given = f"({nulls})" if nulls else ""
            return _tree(ask(connection, f"explain (verbose, format json) execute {_NAME}{given}"))
    finally:
        # The driver may have taken everything away at a rollback already.
        with suppress(psycopg.errors.InvalidSqlStatementName), connection.transaction():
            connection.execute(f"deallocate {_NAME}".encode())


def _run(connection: Connection, statement: str) -> None:
    """Run one statement that came from elsewhere and returns no rows; a second one in the text is refused."""
    connection.execute(statement.encode(), binary=True)


def _tree(rows: list[tuple[Any, ...]]) -> Mapping[str, Any]:
    tree: Mapping[str, Any] = rows[0][0][0]["Plan"]
    return tree


def shape_of(tree: Mapping[str, Any], oids: Mapping[tuple[str, str], int]) -> Shape:
    """The shape of a plan as EXPLAIN (VERBOSE, FORMAT JSON) prints it.

    Args:
        tree: the value of ``Plan``.
        oids: of tables and indexes by (schema, name).
    """
    scans: dict[tuple[str, int], None] = {}
    indexes: dict[tuple[str, int], None] = {}
    for node, schema in _nodes(tree, ""):
        if node["Node Type"] == "Seq Scan" and "Relation Name" in node:
            name = node["Relation Name"]
            scans[f"{schema}.{name}", oids.get((schema, name), 0)] = None
        if "Index Name" in node:
            name = node["Index Name"]
            indexes[f"{schema}.{name}", oids.get((schema, name), 0)] = None
    return Shape(cost=float(tree["Total Cost"]), scans=tuple(sorted(scans)), indexes=tuple(sorted(indexes)))


def _nodes(node: Mapping[str, Any], schema: str) -> Iterable[tuple[Mapping[str, Any], str]]:
    """Every node with the schema of its table; a bitmap's index scan is below its table's node."""
    schema = node.get("Schema", schema)
    yield node, schema
    for child in node.get("Plans", ()):
        yield from _nodes(child, schema)
