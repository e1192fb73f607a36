"""One pass over a table: the sums of its columns' hashed values, as they are and as the types that they will get.

Never writes; knows nothing of a plan or of what the sums are compared with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import sql

from orchestrator.checks.hashed import hashed
from orchestrator.checks.sample import Range, within
from orchestrator.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSum:
    """What a column held at one moment.

    Attributes:
        name: the column's name at that moment.
        type: its type as PostgreSQL writes it.
        checksum: of all its values, each bound to its row's key; independent of the rows' order.
        cast_type: the type that it will get; empty where it keeps its own.
        cast: the checksum of its values cast to that type; empty where that cannot be done.
        lossy: how many values are others once they are cast back; -1 where that cannot be said.
        way: how its values were hashed, as ``way_of`` says it; empty: as text.
    """

    name: str
    type: str
    checksum: str
    cast_type: str = ""
    cast: str = ""
    lossy: int = -1
    way: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as it is now; ``way``: how its values are hashed, ``summed``: whether anybody compares its sum."""

    number: int
    name: str
    type: str
    way: str
    summed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What is read of one table."""

    table: sql.Identifier
    key: tuple[Column, ...]
    plain: tuple[Column, ...]
    ranges: tuple[Range, ...] = ()
    casts: Mapping[str, str] = field(default_factory=dict)

    @property
    def key_types(self) -> list[tuple[str, str]]:
        """Name and type of each column of the key."""
        return [(each.name, each.type) for each in self.key]

    def read(self, sums: Iterable[sql.Composable]) -> sql.Composed:
        """One pass over the rows: how many there are, and these sums; the hash of each row's key is made once."""
        key: sql.Composable = sql.SQL("0::int8")
        for each in self.key:
            key = hashed(_cast(sql.Identifier(each.name), self.casts.get(each.name)), each.way, key)
        columns = [
            sql.SQL("{} as {}").format(sql.Identifier(each.name), _alias(each))
            for each in self.plain
            if each.summed
        ]
        # `offset 0`: PostgreSQL would else put the key's expression into every sum.
        return sql.SQL("select {} from (select {} from {}{} offset 0) as seen").format(
            sql.SQL(", ").join([sql.SQL("count(*)"), *sums]),
            sql.SQL(", ").join([sql.SQL("{} as key").format(key), *columns]),
            self.table,
            within(self.key_types, self.ranges),
        )


def _alias(column: Column) -> sql.Identifier:
    return sql.Identifier(f"c{column.number}")


def _sum(column: Column, type_: str = "") -> sql.Composable:
    """The sum of 64-bit hashes of (key, value), NULL being that of the key: a sum does not care for the rows' order."""
    if not column.summed:
        return sql.SQL("''")
    value = hashed(_cast(_alias(column), type_), column.way, sql.SQL("key"))
    return sql.SQL("coalesce(sum(coalesce({}, key)), 0)::text").format(value)


def _lossy(column: Column, type_: str) -> sql.Composable:
    """How many values are others once they are cast to a type and back."""
    back = sql.SQL("cast({} as {})::text").format(_cast(_alias(column), type_), sql.SQL(column.type))
    return sql.SQL("count(*) filter (where {} is distinct from {}::text)").format(back, _alias(column))


def _cast(value: sql.Composable, type_: str | None) -> sql.Composable:
    if not type_:
        return value
    # A type's name as format_type() writes it is SQL already.
    return sql.SQL("cast({} as {})").format(value, sql.SQL(type_))


def read(connection: Connection, look: Pass) -> tuple[int, dict[int, ColumnSum]]:
    """How many rows were read and what each column holds; a savepoint, so that a time-out can be answered."""
    if any(look.casts.values()):
        for at_once in (True, False):
            try:
                with connection.transaction():
                    return _read_as(connection, look, at_once=at_once)
            except (psycopg.errors.DataError, psycopg.errors.ProgrammingError):
                continue  # a column cannot be cast: each for itself, then
        # The key itself cannot be cast, or a new type is not there yet: then texts are compared.
        look = replace(look, casts={})
    with connection.transaction():
        return _read_as(connection, look, at_once=False)


def _read_as(connection: Connection, look: Pass, *, at_once: bool) -> tuple[int, dict[int, ColumnSum]]:
    """Read; the sums of values as the types that they will get in the same pass, or in one more for each column."""
    retyped = [(each, type_) for each in look.plain if (type_ := look.casts.get(each.name))]
    sums = [_sum(each) for each in look.plain]
    if at_once:
        for column, type_ in retyped:
            sums += [_sum(column, type_), _lossy(column, type_)]
    row = connection.execute(look.read(sums)).fetchone()
    rows, *values = row or (0,)
    found = {
        each.number: ColumnSum(name=each.name, type=each.type, checksum=str(value), way=each.way)
        for each, value in zip(look.plain, values, strict=False)
    }
    for place, (column, type_) in enumerate(retyped):
        first = len(look.plain) + 2 * place
        cast = values[first : first + 2] if at_once else _cast_too(connection, look, column, type_)
        if cast:
            found[column.number] = replace(
                found[column.number], cast_type=type_, cast=str(cast[0]), lossy=int(cast[1])
            )
    return int(rows), found


def _cast_too(connection: Connection, look: Pass, column: Column, type_: str) -> Sequence[Any]:
    """The column's sum as the type that it will get, and how many values that changes; nothing without a cast."""
    for lossy in (_lossy(column, type_), sql.SQL("-1")):
        try:
            with connection.transaction():
                row = connection.execute(look.read([_sum(column, type_), lossy])).fetchone()
        except (psycopg.errors.DataError, psycopg.errors.ProgrammingError):
            continue  # a value does not fit (preflight says which), or there is no such cast or type yet
        if row is not None:
            return tuple(row[1:])
    return ()
