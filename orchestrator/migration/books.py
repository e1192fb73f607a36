"""Books: the tables in which migration tools write down what they did; their rows go with the schema. Pure: no I/O.

A schema without these rows is one that the tool would migrate again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Statement
from orchestrator.schema.names import dotted, literal, quote

#: Table names of well-known tools, in whatever schema; what others point at comes first.
KNOWN = (
    "alembic_version",
    "django_migrations",
    "django_content_type",  # `migrate` writes these two for each new model (Django docs, contenttypes)
    "auth_permission",
    "_prisma_migrations",
    "__drizzle_migrations",
    "schema_migrations",
    "ar_internal_metadata",
    "flyway_schema_history",
    "databasechangelog",
    "databasechangeloglock",
    "knex_migrations",
    "knex_migrations_lock",
    "SequelizeMeta",
    "sequelizemeta",
    "typeorm_metadata",
    "mikro_orm_migrations",
    "kysely_migration",
    "kysely_migration_lock",
    "pgmigrations",
    "goose_db_version",
    "gorp_migrations",
    "atlas_schema_revisions",
    "_sqlx_migrations",
    "__diesel_schema_migrations",
    "refinery_schema_history",
    "phinxlog",
    "doctrine_migration_versions",
    "__EFMigrationsHistory",
    "_yoyo_migration",
    "_yoyo_log",
    "_yoyo_version",
    "schemaversion",
)

Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One such table as a value.

    Attributes:
        schema, name: which table.
        columns: its columns that can be written, in their order.
        key: the columns of its primary key; empty when it has none.
        rows: every row as text, sorted.
        counters: (sequence as SQL, last value, whether that was given out) of sequences that its columns own.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    counters: tuple[tuple[str, int, bool], ...] = ()

    @property
    def table(self) -> str:
        """Qualified and quoted."""
        return dotted(self.schema, self.name)


Books = Mapping[str, Book]


def differences(found: Books, wanted: Books) -> tuple[str, ...]:
    """In which tables rows or counters differ, one sentence each; empty when none do."""
    said = []
    for table in sorted({*found, *wanted}):
        before, after = found.get(table), wanted.get(table)
        if after is None:
            continue  # the table itself is no longer wanted: the schema's business
        if before is None or before.rows != after.rows:
            said.append(f"rows of {table} differ")
        else:
            said += [f"{name} is not at {value}" for name, value, _ in _behind(before, after)]
    return tuple(said)


def digest(books: Books) -> str:
    """SHA-256 (hex) of all rows."""
    content = [[table, books[table].columns, books[table].rows] for table in sorted(books)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()


def statements(found: Books, wanted: Books) -> tuple[Statement, ...]:
    """What makes the rows of every wanted book as they should be: deletes, then updates and inserts, then counters.

    Their text depends on the rows that differ only, so that what remains after an interruption was approved.

    Args:
        found: the books as they are; a table that the schema's plan is still to make is missing.
        wanted: as they should be.
    """
    tables = sorted(wanted, key=lambda table: (_rank(wanted[table]), table))
    made: list[Statement] = []
    pairs = [(found.get(table), wanted[table]) for table in tables]
    for before, after in reversed(pairs):
        if before is not None:
            made += _deletes(before, after)
    for before, after in pairs:
        made += _writes(before, after)
    return tuple(made)


def _rank(book: Book) -> int:
    return KNOWN.index(book.name) if book.name in KNOWN else len(KNOWN)


def _deletes(before: Book, after: Book) -> Iterator[Statement]:
    keep = {_key(after, row) for row in after.rows}
    old = [row for row in _as_of(before, after) if _key(after, row) not in keep]
    if old:
        sql = f"DELETE FROM {after.table} WHERE " + " OR ".join(_is(after, row) for row in old)
        yield _statement(after, sql, f"{len(old)} row{'s' * (len(old) != 1)} less")


def _writes(before: Book | None, after: Book) -> Iterator[Statement]:
    there = {_key(after, row): row for row in _as_of(before, after)} if before is not None else {}
    new = []
    for row in after.rows:
        old = there.get(_key(after, row))
        if old is None:
            new.append(row)
        elif old != row:
            changes = ", ".join(
                f"{quote(column)} = {_value(value)}"
                for column, value, was in zip(after.columns, row, old, strict=True)
                if value != was
            )
            yield _statement(
                after, f"UPDATE {after.table} SET {changes} WHERE {_is(after, row)}", "a row changes"
            )
    if new:
        columns = ", ".join(quote(column) for column in after.columns)
        rows = ",\n  ".join(f"({', '.join(_value(value) for value in row)})" for row in new)
        yield _statement(
            after,
            f"INSERT INTO {after.table} ({columns}) OVERRIDING SYSTEM VALUE VALUES\n  {rows}",
            f"{len(new)} new row{'s' * (len(new) != 1)}",
        )
    for sequence, value, given in _behind(before, after):
        yield _statement(
            after,
            f"SELECT pg_catalog.setval({literal(sequence)}, {value}, {str(given).lower()})",
            "the next number",
        )


def _behind(before: Book | None, after: Book) -> Iterator[tuple[str, int, bool]]:
    """Counters that are not as far as they should be; they never go back."""
    at = {name: (value, given) for name, value, given in before.counters} if before is not None else {}
    for name, value, given in after.counters:
        if (value, given) > at.get(name, (1, False)):
            yield name, value, given


def _as_of(before: Book, after: Book) -> list[Row]:
    """The rows of before in the columns of after; a column that is to come holds NULL until then."""
    at = {column: i for i, column in enumerate(before.columns)}
    return [
        tuple(row[at[column]] if column in at else None for column in after.columns) for row in before.rows
    ]


def _key(book: Book, row: Row) -> Row:
    """What names a row: its primary key, else all of it."""
    if not book.key:
        return row
    return tuple(row[book.columns.index(column)] for column in book.key)


def _is(book: Book, row: Row) -> str:
    """The condition that this row meets."""
    if book.key:
        parts = [f"{quote(c)} = {_value(row[book.columns.index(c)])}" for c in book.key]
    else:
        # Not every type has an equality (json), every one has a text.
        parts = [
            f"{quote(c)} IS NULL" if v is None else f"{quote(c)}::text = {_value(v)}"
            for c, v in zip(book.columns, row, strict=True)
        ]
    return f"({' AND '.join(parts)})"


def _value(value: str | None) -> str:
    return "NULL" if value is None else literal(value).strip()


def _statement(book: Book, sql: str, what: str) -> Statement:
    return Statement(
        sql=sql,
        why=f"{what} in {book.table}, as the migration command wrote them",
        lock=LockMode.ROW_EXCLUSIVE,
        lock_on=(book.table,),
        writes=(book.table,),
    )
