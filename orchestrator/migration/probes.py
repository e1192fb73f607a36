"""Probes: questions to the data, as SQL, that tell beforehand what a statement will run into. Pure: no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.migration.index_keys import IndexKeys
from orchestrator.migration.plan import Probe
from orchestrator.migration.types import TypeName
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Constraint
from orchestrator.schema.texts import with_renamed

#: How many of the rows that hold one value are named.
NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """The names that tables and columns have now: probes are asked before any rename is done.

    Attributes:
        tables: new to old path of renamed tables.
        columns: (new path of a column) to its old name.
    """

    tables: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    def table(self, path: tuple[str, ...]) -> str:
        """A table's qualified name as SQL."""
        return dotted(*self.tables.get(path, path))

    def column(self, table: tuple[str, ...], name: str) -> str:
        """A column's name as SQL."""
        return quote(self.columns.get((*table, name), name))

    def text(self, table: tuple[str, ...], text: str) -> str:
        """An expression over one table's columns."""
        names = {quote(new[2]): quote(old) for new, old in self.columns.items() if new[:2] == table}
        return with_renamed(text, names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """Makes the probes about one table.

    Attributes:
        base: main's snapshot with the renames already done.
        today: the names before them.
        table: the table, by its new name.
    """

    base: Snapshot
    today: Today
    table: Key

    @property
    def name(self) -> str:
        """The table's name today."""
        return self.today.table(self.table.path)

    def column(self, name: str) -> str:
        """The name of one of its columns today."""
        return self.today.column(self.table.path, name)

    def keys(self, prefix: str = "") -> str:
        """An SQL expression that names a row by its primary key (``id=17``), or by its ctid."""
        for key in self.base.members(self.table):
            thing = self.base.objects[key]
            if isinstance(thing, Constraint) and thing.type == "primary":
                names = [self.column(name) for name in thing.columns]
                parts = [f"{literal(name + '=')} || coalesce({prefix}{name}::text, 'null')" for name in names]
                return " || ', ' || ".join(parts)
        return f"'ctid=' || {prefix}ctid::text"

    def where(
        self, condition: str, *, kind: str, subject: str, problem: str, remedy: str, blocks: bool = True
    ) -> Probe:
        """Rows that must not be there, with up to five of their keys."""
        source = f"FROM {self.name} WHERE {condition}"
        return Probe(
            kind=kind,
            subject=subject,
            problem=problem,
            count_sql=f"SELECT count(*) {source}",
            sample_sql=f"SELECT {self.keys()} {source} LIMIT 5",
            blocks=blocks,
            remedy=remedy,
        )

    def rows(self) -> Probe:
        """How many rows a drop of the table would delete."""
        return Probe(
            kind="rows_at_stake",
            subject=self.name,
            problem=f"{{count}} rows of {self.name} would be deleted",
            count_sql=f"SELECT count(*) FROM {self.name}",
            blocks=False,
            remedy="keep the table for one more release, or answer that it was renamed",
        )

    def values(self, column: str) -> Probe:
        """How many values a drop of a column would delete."""
        name = self.column(column)
        return Probe(
            kind="rows_at_stake",
            subject=f"{self.name}.{name}",
            problem=f"{{count}} rows of {self.name} have a value in {name} that would be deleted",
            count_sql=f"SELECT count({name}) FROM {self.name}",
            blocks=False,
            remedy="keep the column for one more release, or answer that it was renamed",
        )

    def unfilled(self, column: Key, answer: str) -> Probe:
        """Every row, when a column comes that must have a value and has none to give."""
        return Probe(
            kind="null",
            subject=column.name,
            problem=f"{{count}} rows of {self.name} would have no {quote(column.path[-1])}",
            count_sql=f"SELECT count(*) FROM {self.name}",
            remedy=f"say which value they get: --answer '{answer}=EXPRESSION'",
        )

    def nulls(self, column: str, answer: str) -> Probe:
        """Rows without a value in a column that becomes NOT NULL."""
        name = self.column(column)
        return self.where(
            f"{name} IS NULL",
            kind="null",
            subject=f"{self.name}.{name}",
            problem=f"{{count}} rows of {self.name} have no {name}",
            remedy=f"say which value they get: --answer '{answer}=EXPRESSION'",
        )

    def breaking(self, constraint: Constraint, expression: str) -> Probe:
        """Rows that break a check."""
        now = self.today.text(self.table.path, expression)
        shown = "" if "{" in now else f": CHECK {now}"
        return self.where(
            f"NOT {now}",
            kind="check",
            subject=constraint.key.name,
            problem=f"{{count}} rows of {self.name} break {quote(constraint.key.path[-1])}{shown}",
            remedy="correct these rows, or add the constraint as NOT VALID on the goal",
        )

    def duplicates(self, columns: Iterable[str], *, subject: str, nulls_equal: bool = False) -> Probe:
        """Groups of rows that a unique constraint would refuse."""
        return self._repeated([self.column(name) for name in columns], subject, nulls_equal=nulls_equal)

    def duplicates_in(self, index: IndexKeys, *, subject: str) -> Probe:
        """Groups of rows that a unique index would refuse."""
        keys = [self.today.text(self.table.path, key) for key in index.keys]
        condition = self.today.text(self.table.path, index.condition)
        return self._repeated(keys, subject, nulls_equal=index.nulls_equal, condition=condition)

    def _repeated(
        self, keys: Sequence[str], subject: str, *, nulls_equal: bool, condition: str = ""
    ) -> Probe:
        conditions = [condition] if condition else []
        conditions += [] if nulls_equal else [f"{key} IS NOT NULL" for key in keys]
        filled = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        by, label = ", ".join(keys), self.keys()
        shown = "" if "{" in by else f" of ({by})"
        return Probe(
            kind="unique",
            subject=subject,
            problem=f"{{count}} values{shown} are there more than once in {self.name}",
            count_sql=(
                f"SELECT count(*) FROM (SELECT 1 FROM {self.name}{filled} GROUP BY {by} HAVING count(*) > 1) AS same"
            ),
            sample_sql=(
                f"SELECT string_agg({label}, ' and ' ORDER BY preview_tmp_number)"
                f" FILTER (WHERE preview_tmp_number <= {NAMED})"
                f" || CASE WHEN count(*) > {NAMED} THEN ' (of ' || count(*) || ')' ELSE '' END FROM "
                f"(SELECT *, ctid, row_number() OVER (PARTITION BY {by} ORDER BY ctid) AS preview_tmp_number"
                f" FROM {self.name}{filled}) AS same GROUP BY {by} HAVING count(*) > 1 LIMIT 5"
            ),
            remedy="make the values different or remove the rows that are there twice",
        )

    def orphans(self, constraint: Constraint) -> Probe:
        """Rows that point at nothing (MATCH SIMPLE: a NULL anywhere is fine)."""
        target = self.today.table(constraint.references)
        own = [self.column(name) for name in constraint.columns]
        there = [self.today.column(constraint.references, name) for name in constraint.reference_columns]
        matches = " AND ".join(f"there.{b} = here.{a}" for a, b in zip(own, there, strict=True))
        filled = " AND ".join(f"here.{a} IS NOT NULL" for a in own)
        missing = f"NOT EXISTS (SELECT FROM {target} AS there WHERE {matches})"
        source = f"FROM {self.name} AS here WHERE {filled} AND {missing}"
        return Probe(
            kind="foreign_key",
            subject=constraint.key.name,
            problem=f"{{count}} rows of {self.name} point at no row of {target}",
            count_sql=f"SELECT count(*) {source}",
            sample_sql=f"SELECT {self.keys('here.')} {source} LIMIT 5",
            remedy=f"add the missing rows to {target}, or correct or remove these rows",
        )

    def too_large(self, column: str, before: str, after: str) -> tuple[Probe, ...]:
        """Numbers that a type with fewer decimals has no room for once they are rounded; else nothing to ask.

        A float goes to numeric by way of double precision: ``real`` alone would be read with six digits.
        """
        digits = _digits(before, after)
        if digits is None:
            return ()
        name = self.column(column)
        exact = f"{name}::numeric" if before.startswith("numeric") else f"{name}::double precision::numeric"
        rounded = f"pg_catalog.round({exact}, {digits})::text"
        probe = self.where(
            f"{name} IS NOT NULL AND NOT pg_catalog.pg_input_is_valid({rounded}, {literal(after).strip()})",
            kind="range",
            subject=f"{self.name}.{name}",
            problem=f"{{count}} rows of {self.name} have a number in {name} that is too large for {after}",
            remedy="correct these numbers, or choose a type that holds them",
        )
        return (probe,)

    def misfits(self, column: str, before: str, after: str) -> Probe:
        """Values that are no value of a new type, or lose digits as one (pg_input_is_valid: PostgreSQL 16)."""
        name = self.column(column)
        subject = f"{self.name}.{name}"
        digits = _digits(before, after)
        if digits is not None:
            return self.where(
                f"{name}::numeric <> pg_catalog.round({name}::numeric, {digits})",
                kind="cast",
                subject=subject,
                problem=f"{{count}} rows of {self.name} lose digits of {name} as {after}",
                remedy="round these values on purpose, or choose a type that holds them",
                blocks=False,
            )
        valid = f"pg_catalog.pg_input_is_valid({name}::text, {literal(after).strip()})"
        return self.where(
            f"{name} IS NOT NULL AND NOT {valid}",
            kind="cast",
            subject=subject,
            problem=f"{{count}} rows of {self.name} have a value in {name} that is no {after}",
            remedy=f"correct these values so that each is a valid {after}",
        )


def _digits(before: str, after: str) -> int | None:
    """How many decimals stay when a number becomes one with fewer; None for every other change."""
    old, new = TypeName.parse(before), TypeName.parse(after)
    if old.array or old.name not in {"numeric", "real", "double precision"}:
        return None
    if new.name in {"smallint", "integer", "bigint"}:
        return 0
    return (*new.modifiers, 0)[1] if new.name == "numeric" and new.modifiers else None
