"""Probes: questions to the data, as SQL, that tell beforehand what a statement will run into. Pure: no I/O."""

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.migration.plan import Probe
from orchestrator.migration.types import TypeName
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Constraint


def keys_of_rows(base: Snapshot, table: Key) -> str:
    """An SQL expression that names a row by its primary key (``id=17``), or by its ctid."""
    for key in base.members(table):
        thing = base.objects[key]
        if isinstance(thing, Constraint) and thing.type == "primary":
            parts = [
                f"{literal(name + '=')} || coalesce({quote(name)}::text, 'null')" for name in thing.columns
            ]
            return " || ', ' || ".join(parts)
    return "'ctid=' || ctid::text"


def rows_where(
    base: Snapshot, table: Key, condition: str, *, kind: str, subject: str, problem: str, remedy: str
) -> Probe:
    """Rows of a table that must not be there, with up to five of their keys."""
    source = f"FROM {table.name} WHERE {condition}"
    return Probe(
        kind=kind,
        subject=subject,
        problem=problem,
        count_sql=f"SELECT count(*) {source}",
        sample_sql=f"SELECT {keys_of_rows(base, table)} {source} LIMIT 5",
        remedy=remedy,
    )


def at_stake(table: Key, column: Key | None = None) -> Probe:
    """How much a drop would delete: rows of a table, or values of a column."""
    if column is None:
        return Probe(
            kind="rows_at_stake",
            subject=table.name,
            problem=f"{{count}} rows of {table.name} would be deleted",
            count_sql=f"SELECT count(*) FROM {table.name}",
            blocks=False,
            remedy="keep the table for one more release, or answer that it was renamed",
        )
    return Probe(
        kind="rows_at_stake",
        subject=column.name,
        problem=f"{{count}} rows of {table.name} have a value in {quote(column.path[-1])} that would be deleted",
        count_sql=f"SELECT count({quote(column.path[-1])}) FROM {table.name}",
        blocks=False,
        remedy="keep the column for one more release, or answer that it was renamed",
    )


def duplicates(
    base: Snapshot, table: Key, columns: Iterable[str], *, subject: str, nulls_equal: bool = False
) -> Probe:
    """Groups of rows that a unique index over plain columns would refuse."""
    names = [quote(name) for name in columns]
    filled = "" if nulls_equal else " WHERE " + " AND ".join(f"{name} IS NOT NULL" for name in names)
    by = ", ".join(names)
    grouped = f"FROM {table.name}{filled} GROUP BY {by} HAVING count(*) > 1"
    label = keys_of_rows(base, table)
    sample = (
        f"SELECT string_agg({label}, ' and ' ORDER BY {label}) FROM "
        f"(SELECT *, ctid, count(*) OVER (PARTITION BY {by}) AS preview_tmp_same FROM {table.name}{filled}) AS same "
        f"WHERE preview_tmp_same BETWEEN 2 AND 20 GROUP BY {by} LIMIT 5"
    )
    return Probe(
        kind="unique",
        subject=subject,
        problem=f"{{count}} values of ({by}) are there more than once in {table.name}",
        count_sql=f"SELECT count(*) FROM (SELECT 1 {grouped}) AS same",
        sample_sql=sample,
        remedy="make the values different or remove the rows that are there twice",
    )


def orphans(base: Snapshot, table: Key, constraint: Constraint) -> Probe:
    """Rows of a table that point at nothing (MATCH SIMPLE: a NULL anywhere is fine)."""
    own = [quote(name) for name in constraint.columns]
    there = [quote(name) for name in constraint.reference_columns]
    target = dotted(*constraint.references)
    matches = " AND ".join(f"there.{b} = here.{a}" for a, b in zip(own, there, strict=True))
    filled = " AND ".join(f"here.{a} IS NOT NULL" for a in own)
    source = f"FROM {table.name} AS here WHERE {filled} AND NOT EXISTS (SELECT FROM {target} AS there WHERE {matches})"
    label = keys_of_rows(base, table).replace("ctid::text", "here.ctid::text")
    return Probe(
        kind="foreign_key",
        subject=constraint.key.name,
        problem=f"{{count}} rows of {table.name} point at no row of {target}",
        count_sql=f"SELECT count(*) {source}",
        sample_sql=f"SELECT {label} {source} LIMIT 5",
        remedy=f"add the missing rows to {target}, or correct or remove these rows",
    )


def misfits(base: Snapshot, table: Key, column: Key, after: str) -> Probe:
    """Values that are no value of the new type (pg_input_is_valid: PostgreSQL 16)."""
    name = quote(column.path[-1])
    valid = f"pg_catalog.pg_input_is_valid({name}::text, {literal(after).strip()})"
    return rows_where(
        base,
        table,
        f"{name} IS NOT NULL AND NOT {valid}",
        kind="cast",
        subject=column.name,
        problem=f"{{count}} rows of {table.name} have a value in {name} that is no {after}",
        remedy=f"correct these values so that each is a valid {after}",
    )


def rounded(base: Snapshot, table: Key, column: Key, before: str, after: str) -> Probe | None:
    """Values that lose digits; None unless a number becomes one with fewer decimals (which does not fail)."""
    old, new = TypeName.parse(before), TypeName.parse(after)
    if old.array or old.name not in {"numeric", "real", "double precision"}:
        return None
    whole = new.name in {"smallint", "integer", "bigint"}
    if not whole and not (new.name == "numeric" and new.modifiers):
        return None
    digits = 0 if whole else (*new.modifiers, 0)[1]
    name = quote(column.path[-1])
    probe = rows_where(
        base,
        table,
        f"{name}::numeric <> pg_catalog.round({name}::numeric, {digits})",
        kind="cast",
        subject=column.name,
        problem=f"{{count}} rows of {table.name} lose digits of {name} as {after}",
        remedy="round these values on purpose, or choose a type that holds them",
    )
    return replace(probe, blocks=False)
