"""Rows that point at nothing, when a foreign key comes and somebody said what becomes of them. Pure: no I/O."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.narrowing import FAIL, NULL
from orchestrator.migration.step import Phase, Step, Token
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, dotted, quote
from orchestrator.schema.objects import Column, Constraint


def orphans_id(key: Key) -> str:
    """The id of the question what becomes of rows that point at nothing."""
    return f"orphans:{key.name}"


def answered(work: Work, key: Key) -> str:
    """What was said: ``-``, ``null`` or ``delete``."""
    return work.answers.get(orphans_id(key), FAIL)


def nullable(work: Work, key: Key, thing: Constraint) -> list[str]:
    """The columns of a foreign key that may be NULL."""
    columns = [Key("column", (*key.path[:2], name)) for name in thing.columns]
    return [quote(each.path[-1]) for each in columns if not work.after(each, Column).not_null]


def mended(work: Work, key: Key, thing: Constraint, *, wants: tuple[Token, ...]) -> Iterator[Step]:
    """Rows that point at nothing become NULL there, or go; gives ``("mended", key)``."""
    answer = answered(work, key)
    if thing.type != "foreign" or answer == FAIL:
        return
    table = key.parent
    pairs = zip(thing.columns, thing.reference_columns, strict=True)
    matches = " AND ".join(f"there.{quote(b)} = here.{quote(a)}" for a, b in pairs)
    filled = " AND ".join(f"here.{quote(each)} IS NOT NULL" for each in thing.columns)
    where = f"({filled} AND NOT EXISTS (SELECT FROM {dotted(*thing.references)} AS there WHERE {matches}))"
    if answer == NULL:
        sets = ", ".join(f"{each} = NULL" for each in nullable(work, key, thing))
        sql, how = f"UPDATE {table.name} AS here SET {sets} WHERE {where}", "let go of what is not there"
    else:
        sql, how = f"DELETE FROM {table.name} AS here WHERE {where}", "are deleted"
    yield work.step(
        key, Phase.VALIDATE, sql, f"rows of {table.name} that point at nothing {how}, batch by batch", tables=[table],
        lock=LockMode.ROW_EXCLUSIVE, heavy=True, transactional=False, by_blocks=table.name, wants=wants,
        gives=[("mended", key)],
        hazards=(hazard("deletes_data", key.name, f"rows of {table.name} that point at nothing {how}"),),
    )  # fmt: skip
