"""Which rows of a large table are read: ranges of keys, spread over the table, found again by key. Never writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from orchestrator.database import Connection

#: How many ranges, and how many rows in each: ten thousand rows, read by the key's index.
RANGES = 40
ROWS = 250
#: How many blocks of the table are drawn to find where ranges begin.
_BLOCKS = 120
_BLOCK_BYTES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Rows from one key to another, both with it.

    Attributes:
        first: the values of the key's columns as text.
        last: likewise; empty where the range has no end.
    """

    first: tuple[str, ...]
    last: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """``{"first", "last"}``."""
        return {"first": list(self.first), "last": list(self.last)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Range":
        """The reverse of to_json."""
        return cls(first=tuple(value["first"]), last=tuple(value["last"]))


def choose_ranges(
    connection: Connection, table: sql.Identifier, key: Sequence[tuple[str, str]], size: int
) -> tuple[Range, ...]:
    """Ranges of keys that begin at rows drawn from the whole table, and at its lowest key; none without a key.

    Args:
        connection: inside of a look (``looking``).
        table: which.
        key: name and type of each column of the key, in order.
        size: the table's, in bytes.
    """
    if not key:
        return ()
    # With the table's alias: a bare name in ORDER BY would mean the text that is selected under it.
    names = sql.SQL(", ").join(sql.Identifier("drawn", name) for name, _ in key)
    plain = sql.SQL(", ").join(sql.Identifier(name) for name, _ in key)
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name, _ in key)
    blocks = max(size // _BLOCK_BYTES, _BLOCKS)
    lowest = connection.execute(
        sql.SQL("select {} from {} as drawn order by {} limit 1").format(texts, table, names)
    ).fetchall()
    drawn = connection.execute(
        sql.SQL(
            "select {all} from (select {plain}, row_number() over (order by {plain}) as preview_n, "
            "count(*) over () as preview_all from {table} tablesample system ({share}) repeatable (1)) as drawn "
            "where preview_n %% greatest(preview_all / {ranges}, 1) = 0 order by {names} limit {ranges}"
        ).format(
            all=texts,
            names=names,
            plain=plain,
            table=table,
            share=sql.Literal(100.0 * _BLOCKS / blocks),
            ranges=sql.Literal(RANGES),
        ),
        (),
    ).fetchall()
    ranges = []
    for first in dict.fromkeys(tuple(map(str, row)) for row in [*lowest, *drawn]):
        last = connection.execute(
            sql.SQL("select {} from {} as drawn where {} order by {} offset {} limit 1").format(
                texts, table, _from(key, first), names, sql.Literal(ROWS - 1)
            )
        ).fetchone()
        ranges.append(Range(first=first, last=tuple(map(str, last)) if last else ()))
    return tuple(ranges)


def within(key: Sequence[tuple[str, str]], ranges: Sequence[Range]) -> sql.Composable:
    """The condition that takes the rows of these ranges, each row once; nothing where all rows are read."""
    if not ranges:
        return sql.SQL("")
    parts = []
    for each in ranges:
        upper = sql.SQL(" and {}").format(_compared(key, "<=", each.last)) if each.last else sql.SQL("")
        parts.append(sql.SQL("({}{})").format(_from(key, each.first), upper))
    return sql.SQL(" where {}").format(sql.SQL(" or ").join(parts))


def _from(key: Sequence[tuple[str, str]], values: Sequence[str]) -> sql.Composable:
    return _compared(key, ">=", values)


def _compared(key: Sequence[tuple[str, str]], sign: str, values: Sequence[str]) -> sql.Composable:
    names = sql.SQL(", ").join(sql.Identifier(name) for name, _ in key)
    # The type as the column has it now: the same text is the same key, also after its type has changed.
    given = sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(type_))
        for value, (_, type_) in zip(values, key, strict=True)
    )
    return sql.SQL("({}) {} ({})").format(names, sql.SQL(sign), given)
