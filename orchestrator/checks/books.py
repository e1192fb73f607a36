"""Reading the books of migration tools: which of their tables there are, and every row. Only reads."""

from collections.abc import Iterable

from psycopg import sql

from orchestrator.checks.looking import looking
from orchestrator.database import Connection
from orchestrator.errors import StepFailed
from orchestrator.migration.books import KNOWN, Book, Books

#: More rows than this are no bookkeeping.
MOST_ROWS = 20_000

_TABLES = """
select c.oid::int8, n.nspname, c.relname,
       array(select a.attname::text from pg_attribute a
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
             order by a.attnum),
       array(select a.attname::text from pg_constraint k, unnest(k.conkey) with ordinality u(number, n)
             join pg_attribute a on a.attnum = u.number
             where k.conrelid = c.oid and k.contype = 'p' and a.attrelid = c.oid order by u.n)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and n.nspname !~ '^(pg_|preview_kept_)'
  and n.nspname not in ('information_schema', 'preview_internal')
  and (c.relname = any (%(names)s) or n.nspname || '.' || c.relname = any (%(names)s))
order by 2, 3
"""
_SEQUENCES = """
select n.nspname, s.relname from pg_depend d join pg_class s on s.oid = d.objid
join pg_namespace n on n.oid = s.relnamespace
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = %s
  and d.refobjsubid > 0 and d.deptype in ('a', 'i') and s.relkind = 'S'
order by 1, 2
"""


def read_books(connection: Connection, more: Iterable[str] = ()) -> Books:
    """Every book that there is, by its qualified and quoted name.

    Args:
        connection: to the database; nothing is written.
        more: names beside the known ones, as ``table`` or ``schema.table``.

    Raises:
        StepFailed: a table of that name has too many rows to be one.
    """
    books: dict[str, Book] = {}
    with looking(connection) as looked:
        names = [*KNOWN, *more]
        for oid, schema, name, columns, key in looked.execute(_TABLES, {"names": names}).fetchall():
            table = sql.Identifier(schema, name)
            texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(each)) for each in columns)
            rows = (
                looked.execute(
                    sql.SQL("select {} from {} limit {}").format(texts, table, MOST_ROWS + 1)
                ).fetchall()
                if columns
                else []
            )
            if len(rows) > MOST_ROWS:
                raise StepFailed(
                    f"{schema}.{name} has more than {MOST_ROWS:,} rows; that is no table of a migration tool",
                    hint='rename it, or use migration.promote_with = "command"',
                )
            book = Book(
                schema=schema,
                name=name,
                columns=tuple(columns),
                key=tuple(key) if set(key) <= set(columns) else (),
                rows=tuple(sorted((tuple(row) for row in rows), key=_order)),
                counters=tuple(_counters(looked, oid)),
            )
            books[book.table] = book
    return books


def _order(row: tuple[str | None, ...]) -> tuple[tuple[bool, str], ...]:
    return tuple((value is not None, value or "") for value in row)


def _counters(connection: Connection, oid: int) -> Iterable[tuple[str, int, bool]]:
    for schema, name in connection.execute(_SEQUENCES, (oid,)).fetchall():
        sequence = sql.Identifier(schema, name)
        row = connection.execute(sql.SQL("select last_value, is_called from {}").format(sequence)).fetchone()
        if row is not None:
            yield sequence.as_string(None), int(row[0]), bool(row[1])
