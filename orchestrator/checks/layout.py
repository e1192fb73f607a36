"""Which indexes and tables there are, as far as plans of queries are judged by them. Never writes."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking
from orchestrator.database import Connection

_OURS = "n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^(pg_(toast|temp)|preview_kept_)'"
_TABLES = f"""
select c.oid::int8, c.relnatts::int4 from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 'p') and {_OURS}
"""  # noqa: S608 - constants
_OIDS = f"""
select c.oid::int8, n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('i', 'I') and {_OURS}
"""  # noqa: S608 - constants
# Which indexes serve something beside queries: uniqueness, a constraint, the look-up of a foreign key's rows.
_INDEXES = f"""
select c.oid::int8, n.nspname || '.' || c.relname, t.oid::int8, format('%I.%I', tn.nspname, t.relname),
       i.indisunique or i.indisexclusion or exists (select from pg_constraint k where k.conindid = c.oid),
       exists (select from pg_constraint k where k.contype = 'f' and k.conrelid = t.oid
               and (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey),
       coalesce((select max(a) from unnest(i.indkey::int2[]) a), 0)::int4,
       c.relkind = 'I' or c.relispartition
from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class t on t.oid = i.indrelid join pg_namespace tn on tn.oid = t.relnamespace
where {_OURS} order by 2
"""  # noqa: S608 - constants
# An estimate of -1 means that nobody counted yet (Postgres docs, pg_class); then the size tells.
_SIZES = f"""
select c.oid::int8, n.nspname || '.' || c.relname,
       greatest(c.reltuples, 0)::float8, pg_relation_size(c.oid)::int8,
       exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
               and not exists (select from pg_stats s where (s.schemaname, s.tablename, s.attname)
                               = (n.nspname, c.relname, a.attname)))
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'm') and {_OURS}
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index on the migrated branch.

    Attributes:
        oid, name: of the index.
        table, table_name: its table.
        constrains: whether uniqueness or a constraint stands on it.
        serves_key: whether a foreign key's rows are found through it.
        last_column: the highest column number in it; 0 for expressions only.
        of_partitions: an index of a partitioned table, or of one partition.
    """

    oid: int
    name: str
    table: int
    table_name: str
    constrains: bool
    serves_key: bool
    last_column: int
    of_partitions: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table's size on the migrated branch: (estimated) rows and bytes; whether a column has no statistics."""

    name: str
    rows: float
    bytes: int
    unknown: bool

    @property
    def large(self) -> bool:
        """Whether reading all of it is worth a word: 10,000 rows or 8 MiB."""
        return self.rows >= 10_000 or self.bytes >= 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The migrated branch: indexes in the order of their names, tables by oid."""

    indexes: tuple[Index, ...]
    tables: Mapping[int, Table]


def mark(name: str) -> int:
    """A name as a number of 32 bits: thousands of them are carried in the diary."""
    return zlib.crc32(name.encode())


def layout_before(connection: Connection, *, timeout_ms: int = STATEMENT_TIMEOUT_MS) -> dict[str, Any]:
    """What must be remembered before the migration, JSON: ``indexes`` (oid, `mark`) and ``tables`` (oid, columns)."""
    with looking(connection, timeout_ms=timeout_ms):
        return {
            "indexes": [[oid, mark(name)] for oid, name in connection.execute(_OIDS.encode()).fetchall()],
            "tables": [list(row) for row in connection.execute(_TABLES.encode()).fetchall()],
        }


def layout_after(connection: Connection, *, timeout_ms: int = STATEMENT_TIMEOUT_MS) -> Layout:
    """The indexes and tables that there are."""
    with looking(connection, timeout_ms=timeout_ms):
        indexes = connection.execute(_INDEXES.encode()).fetchall()
        tables = connection.execute(_SIZES.encode()).fetchall()
    return Layout(
        indexes=tuple(
            Index(
                oid=oid,
                name=name,
                table=table,
                table_name=table_name,
                constrains=constrains,
                serves_key=serves_key,
                last_column=last,
                of_partitions=parts,
            )
            for oid, name, table, table_name, constrains, serves_key, last, parts in indexes
        ),
        tables={
            oid: Table(name=name, rows=rows, bytes=size, unknown=unknown)
            for oid, name, rows, size, unknown in tables
        },
    )
