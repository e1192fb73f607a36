"""A shadow: the helper column that is to take another's place, and what it must hold. Pure: no I/O of any kind."""

from dataclasses import dataclass

from orchestrator.migration import types
from orchestrator.migration.helpers import helper_name
from orchestrator.migration.narrowing import FAIL, NULL, TRUNCATE, conversion, narrow_id
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Column
from orchestrator.schema.texts import with_renamed

#: Types whose casts mean the same in every session: PostgreSQL itself can be asked to hold shadow and column equal.
_PLAIN = frozenset(
    {
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "real",
        "double precision",
        "text",
        "character varying",
        "character",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A column and the helper that takes its place.

    Attributes:
        key: the column.
        before, after: the column in the base and in the goal.
        name: the helper's name.
        answer: what becomes of values that do not fit.
    """

    key: Key
    before: Column
    after: Column
    name: str
    answer: str = FAIL

    @property
    def column(self) -> str:
        """The column's quoted name."""
        return quote(self.key.path[-1])

    @property
    def not_null(self) -> bool:
        """Whether the shadow must not be NULL either when it takes its place."""
        return self.before.not_null and self.after.not_null

    def value(self, names: dict[str, str], prefix: str = "") -> str | None:
        """The shadow's value; None where assigning the column does it."""
        told = with_renamed(self.answer, names) if prefix else self.answer
        return conversion(self.before.type, self.after.type, f"{prefix}{self.column}", self.answer, told=told)

    @property
    def cast(self) -> str:
        """The shadow's value as it can be compared."""
        return self.value({}) or f"{self.column}::{self.after.type}"

    @property
    def plain(self) -> bool:
        """Whether the cast means the same in every session and its result can be compared."""
        names = {types.TypeName.parse(each).name for each in (self.before.type, self.after.type)}
        return names <= _PLAIN and self.answer in {FAIL, NULL, TRUNCATE}

    @property
    def stale(self) -> str:
        """The condition that the shadow is not what it should be."""
        if self.plain:
            return f"{self.name} IS DISTINCT FROM {self.cast}"
        if self.answer in {FAIL, NULL, TRUNCATE}:
            return f"{self.name}::text IS DISTINCT FROM ({self.cast})::text"
        return f"{self.name} IS NULL AND {self.column} IS NOT NULL"

    @property
    def proof(self) -> str:
        """What PostgreSQL is asked to hold true of every row."""
        parts = [f"{self.name} IS NOT DISTINCT FROM {self.cast}"] if self.plain else []
        if not parts and self.answer == FAIL:
            parts = [f"({self.name} IS NULL) = ({self.column} IS NULL)"]
        return " AND ".join([*parts, *([f"{self.name} IS NOT NULL"] if self.not_null else [])])


def shadow_of(work: Work, key: Key) -> Shadow:
    """The helper of one column; its name changes with what it is to hold."""
    before, after = work.before(key, Column), work.after(key, Column)
    answer = work.answers.get(narrow_id(key), FAIL)
    name = helper_name("new", key, before.type, after.type, after.collation or "", answer)
    return Shadow(key=key, before=before, after=after, name=name, answer=answer)
