"""Checksums of every column of a table, each value bound to its row's key: exact, or of a sample. Never writes.

Taken before a plan and after it, they are compared in data.py. A table is read whole up to a size. Of a larger one
ranges of keys are read, the same ones both times: a row is found again by its key wherever it is stored by then.
Columns of a table that will be proved unwritten (unwritten.py) need no sums; their types are compared.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from orchestrator.checks.hashed import METHOD, way_of
from orchestrator.checks.looking import STATEMENT_TIMEOUT_MS, looking, reason
from orchestrator.checks.names import parts_of
from orchestrator.checks.one_pass import Column, ColumnSum, Pass, read
from orchestrator.checks.sample import Range, choose_ranges
from orchestrator.database import Connection

_COLUMNS = """
select a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated <> '',
       coalesce(array_position(k.numbers, a.attnum), 0),
       case when e.typtype = 'e' then a.atttypid || ' ' || (
              select coalesce(jsonb_object_agg(l.oid, l.enumlabel)::text, '{}') from pg_enum l
              where l.enumtypid = e.oid)
            when e.typtype = 'b' and e.oid < 16384 and e.typname !~ '^reg' then a.atttypid::text else '' end
from pg_attribute a
join pg_type o on o.oid = a.atttypid
join pg_type e on e.oid = case when o.typcategory = 'A' and o.typelem <> 0 then o.typelem else o.oid end
left join lateral (
  select (i.indkey::int2[])[0 : i.indnkeyatts - 1] as numbers from pg_index i
  where i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
    and i.indexprs is null and not exists (
      select from pg_attribute p where p.attrelid = i.indrelid and not p.attnotnull
        and p.attnum = any ((i.indkey::int2[])[0 : i.indnkeyatts - 1]))
  order by i.indisprimary desc, i.indexrelid limit 1) k on true
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""

# A partitioned table holds nothing itself; what is read through it is what its partitions hold.
_TABLE = """
select n.nspname, c.relname,
       case when c.relkind = 'p' then (select coalesce(sum(pg_table_size(p.relid)), 0) from pg_partition_tree(c.oid) p)
            else pg_table_size(c.oid) end::int8
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = %s
"""

_SIZES = """
select t, c.oid::int8, case when c.relkind = 'p' then 0 else pg_table_size(c.oid) end::int8,
       case when c.relkind = 'r' and not c.relhassubclass then pg_relation_filenode(c.oid) end::int8
from unnest(%s::text[]) t join pg_class c on c.oid = to_regclass(t)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is read.

    Attributes:
        exact_bytes: tables up to this size are read whole, larger ones by a sample.
        untouched_bytes: tables that no statement touches are read too, the smallest first, up to so much in all.
    """

    exact_bytes: int = 512 * 1024 * 1024
    untouched_bytes: int = 4 * 1024 * 1024 * 1024


#: How columns are marked that nobody reads; their sum is what kind of values they hold.
UNREAD = "unread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Tables that are expected to stay as they are, which is proved afterwards (unwritten.py).

    Attributes:
        since: a transaction's number; whoever has a smaller one had ended before the rows were counted.
        rows: by table's name how many rows there were.
    """

    since: int
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwritten:
    """What one table is to be proved unwritten by: its file, how many rows it had, and since which transaction."""

    file: int
    rows: int
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSums:
    """What a table held at one moment.

    Attributes:
        oid: the table; it survives renames.
        key: attribute numbers of its primary key at that moment, else of a unique index over NOT NULL columns; empty
            when it has none (then a value that moved from one row to another is not seen).
        rows: how many rows were read.
        columns: by attribute number, which survives renames; generated columns are left out.
        ranges: the ranges of keys that were read; empty when all rows were.
        unseen: why it was not read; empty when it was.
        proof: by what it is proved that nobody wrote it, when some of its columns were not read.
    """

    oid: int
    key: tuple[int, ...] = ()
    rows: int = 0
    columns: Mapping[int, ColumnSum]
    ranges: tuple[Range, ...] = ()
    unseen: str = ""
    proof: Unwritten | None = None

    def to_json(self) -> dict[str, Any]:
        """All attributes by name; ``columns`` as ``{attnum: [name, type, checksum, cast_type, cast, lossy, way]}``."""
        return {
            "method": METHOD,
            "oid": self.oid,
            "key": list(self.key),
            "rows": self.rows,
            "columns": {
                str(number): [c.name, c.type, c.checksum, c.cast_type, c.cast, c.lossy, c.way]
                for number, c in self.columns.items()
            },
            "ranges": [each.to_json() for each in self.ranges],
            "unseen": self.unseen,
            "proof": [self.proof.file, self.proof.rows, self.proof.since] if self.proof else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "TableSums":
        """The reverse of to_json."""
        names = ("name", "type", "checksum", "cast_type", "cast", "lossy", "way")
        if value.get("method") != METHOD:
            other = "another version of this program read it before the migration: run `preview up` again"
            return cls(oid=value["oid"], columns={}, unseen=value["unseen"] or other)
        return cls(
            oid=value["oid"],
            key=tuple(value["key"]),
            rows=value["rows"],
            columns={
                int(number): ColumnSum(**dict(zip(names, each, strict=False)))
                for number, each in value["columns"].items()
            },
            ranges=tuple(Range.from_json(each) for each in value.get("ranges", ())),
            unseen=value["unseen"],
            proof=Unwritten(**dict(zip(("file", "rows", "since"), value["proof"], strict=True)))
            if value.get("proof")
            else None,
        )


def sum_tables(
    connection: Connection,
    tables: Iterable[str],
    *,
    touched: Collection[tuple[str, ...]] | None = None,
    casts: Mapping[str, Mapping[str, str]] | None = None,
    limits: Limits = Limits(),
    unread: Unread | None = None,
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> Mapping[str, TableSums]:
    """Read each table once, before the plan is applied; those that the plan touches first.

    Args:
        connection: to the database to look at.
        tables: names as ``count_rows`` takes them; missing ones are left out.
        touched: the tables that the plan touches, as ``parts_of`` takes names apart; None: all of them.
        casts: by table and column the type that the plan gives it, empty where it keeps no column of that name; None:
            nobody knows, then all values are hashed as text, which most types write alike.
        limits: how much is read.
        unread: tables of which only columns are read whose type changes, or whose type may read differently itself.
        timeout_ms: how long the reading of one table may take, milliseconds.
    """
    names = sorted(tables)
    try:
        with looking(connection):
            found = {
                name: (int(oid), int(size), int(file or 0))
                for name, oid, size, file in connection.execute(_SIZES, (names,)).fetchall()
            }
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
        return {name: TableSums(oid=0, columns={}, unseen=reason(error)) for name in names}
    first = [name for name in found if touched is None or parts_of(name) in touched]
    rest = sorted(found.keys() - set(first), key=lambda name: (found[name][1], name))
    sums: dict[str, TableSums] = {}
    left = limits.untouched_bytes
    for name in [*first, *rest]:
        oid, size, file = found[name]
        proof = None
        if unread is not None and name in unread.rows and file:
            proof = Unwritten(file=file, rows=unread.rows[name], since=unread.since)
        if name in rest and proof is None:
            # A sample costs next to nothing, whatever the table's size.
            left -= size if size <= limits.exact_bytes else 0
            if left < 0:
                why = (
                    "no statement of the plan touches it, and untouched tables are read up to "
                    f"{limits.untouched_bytes / 1e6:,.0f} MB in all (report.untouched_up_to)"
                )
                sums[name] = TableSums(oid=oid, columns={}, unseen=why)
                continue
        seen = sum_table(
            connection,
            oid,
            casts=None if casts is None else casts.get(name, {}),
            limit_bytes=limits.exact_bytes,
            proof=proof,
            timeout_ms=timeout_ms,
        )
        if seen is not None:
            sums[name] = seen
    return sums


def sum_again(
    connection: Connection, before: Mapping[str, TableSums], *, timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> Mapping[str, TableSums]:
    """Read the same rows after the plan, with the keys of before; found by oid, whatever the tables are called now."""
    after = {
        table: sum_table(connection, first.oid, again=first, timeout_ms=timeout_ms)
        for table, first in before.items()
        if not first.unseen
    }
    return {table: seen for table, seen in after.items() if seen is not None}


def sum_table(
    connection: Connection,
    oid: int,
    *,
    again: TableSums | None = None,
    casts: Mapping[str, str] | None = None,
    limit_bytes: int = Limits().exact_bytes,
    proof: Unwritten | None = None,
    timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> TableSums | None:
    """Read a table once and sum up each of its columns; None when there is no such table.

    Args:
        connection: to the database to look at.
        oid: the table.
        again: what was read before; the same rows are read, by the same key. None: chosen by size.
        casts: by column the type that it will get, as ``sum_tables`` takes them.
        limit_bytes: of larger tables a sample is read; so it is where reading all takes too long.
        proof: by what the table will be proved unwritten; None: all columns are read.
        timeout_ms: how long the reading may take, milliseconds.
    """
    try:
        with looking(connection, timeout_ms=timeout_ms):
            table = connection.execute(_TABLE, (oid,)).fetchone()
            if table is None:
                return None
            schema, name, size = table
            columns = connection.execute(_COLUMNS, (oid,)).fetchall()
            proof = again.proof if again else proof
            left = _unread(columns, again, casts) if proof else {}
            by_number = {int(c[0]): _column(c, again, casts) for c in columns}
            plain = tuple(by_number[int(c[0])] for c in columns if not c[3] and int(c[0]) not in left)
            numbers = again.key if again else _key_of(columns)
            if proof and not any(each.summed for each in plain):
                new = {each.number: ColumnSum(name=each.name, type=each.type, checksum="") for each in plain}
                rows = again.rows if again else proof.rows
                return TableSums(oid=oid, key=numbers, rows=rows, columns={**left, **new}, proof=proof)
            if any(number not in by_number for number in numbers):
                return TableSums(oid=oid, columns={}, unseen="a column of its key is gone")
            look = Pass(
                table=sql.Identifier(schema, name),
                key=tuple(by_number[number] for number in numbers),
                plain=plain,
                ranges=again.ranges if again else (),
                casts=casts or {},
            )
            if again is None and size > limit_bytes:
                look = replace(look, ranges=choose_ranges(connection, look.table, look.key_types, int(size)))
                if not look.ranges:
                    return TableSums(oid=oid, columns={}, unseen=_no_sample(size, limit_bytes))
            try:
                rows, sums = read(connection, look)
            except psycopg.errors.QueryCanceled:
                if again is not None or look.ranges or not look.key:
                    raise
                look = replace(look, ranges=choose_ranges(connection, look.table, look.key_types, int(size)))
                rows, sums = read(connection, look)
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding, whatever the reason
        return TableSums(oid=oid, columns={}, unseen=reason(error))
    return TableSums(
        oid=oid, key=numbers, rows=rows, columns={**left, **sums}, ranges=look.ranges, proof=proof
    )


def _unread(
    columns: Sequence[Sequence[Any]], again: TableSums | None, casts: Mapping[str, str] | None
) -> dict[int, ColumnSum]:
    """The columns that need no sum: they keep a type whose values read alike as long as they are the same bytes."""
    found = {}
    for number, name, type_, generated, _, kind in columns:
        if again is None:
            left = kind and not generated and casts is not None and not casts.get(name)
        else:
            left = number in again.columns and again.columns[number].way == UNREAD
        if left:
            found[int(number)] = ColumnSum(name=str(name), type=str(type_), checksum=str(kind), way=UNREAD)
    return found


def reads_alike(before: ColumnSum, after: ColumnSum) -> bool:
    """Whether a column holds what it held; one that is not read, as far as its type tells.

    The same bytes are the same values of an enum while its labels of before are the same words.
    """
    if before.checksum == after.checksum or not before.way == after.way == UNREAD:
        return before.checksum == after.checksum
    kind, _, labels = before.checksum.partition(" ")
    now, _, words = after.checksum.partition(" ")
    return kind == now and bool(labels and words) and json.loads(labels).items() <= json.loads(words).items()


def _column(row: Sequence[Any], again: TableSums | None, casts: Mapping[str, str] | None) -> Column:
    """A column, hashed as it was before where its type tells values apart in the same way still."""
    number, name, type_ = int(row[0]), str(row[1]), str(row[2])
    way = way_of(type_)
    if again is None:
        # A generated one has no sum by which it would be known again, but may be a part of the key.
        known = casts is not None and name not in casts and not row[3]
        return Column(number=number, name=name, type=type_, way=way if known else "")
    was = again.columns.get(number) or next((c for c in again.columns.values() if c.name == name), None)
    # One that is not read may be a part of the key all the same; its type has not changed, or nothing was proved.
    same = was is not None and was.way in {way, UNREAD}
    return Column(number=number, name=name, type=type_, way=way if same else "", summed=was is not None)


def _key_of(columns: Sequence[tuple[Any, ...]]) -> tuple[int, ...]:
    return tuple(int(c[0]) for c in sorted((c for c in columns if c[4]), key=lambda c: int(c[4])))


def _no_sample(size: int, limit: int) -> str:
    return (
        f"it has {size / 1e6:,.0f} MB, more than {limit / 1e6:,.0f} MB (report.exact_up_to), and no key "
        "by which a sample of its rows would be found again"
    )
