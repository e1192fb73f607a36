"""Renames: the base snapshot as it would be once they were done. Pure: no I/O of any kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import MEMBERS, Key, dotted, literal, not_null_name, quote
from orchestrator.schema.objects import (
    Column,
    Constraint,
    Default,
    Enum,
    Index,
    Object,
    Other,
    Sequence,
    Stated,
    Table,
    Trigger,
    View,
    table_of,
)
from orchestrator.schema.texts import bracketed, with_renamed
from orchestrator.schema.trees import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Renames:
    """What is renamed.

    Attributes:
        keys: old to new key, of tables, columns, constraints, indexes and sequences. A column's old and new
            key both name its table as it is at that moment (tables are renamed first).
        labels: (path of an enum, old label) to new label.
    """

    keys: Mapping[Key, Key] = field(default_factory=dict)
    labels: Mapping[tuple[tuple[str, ...], str], str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.keys or self.labels)

    def __or__(self, other: "Renames") -> "Renames":
        return Renames(keys={**self.keys, **other.keys}, labels={**self.labels, **other.labels})


def renamed(base: Snapshot, renames: Renames) -> Snapshot:
    """The snapshot after these renames.

    Names inside deparsed expressions are exchanged token by token; where that guess does not meet the text
    that PostgreSQL will show, the object is seen as changed and rebuilt, which is slower but never wrong.
    Views keep their text: PostgreSQL keeps their columns' old names with AS, so they are rebuilt.
    """
    if not renames:
        return base
    work = _Renaming(renames, base)
    objects = {}
    for key in base.objects:
        thing = work.thing(base.objects[key])
        objects[thing.key] = thing
    return Snapshot(
        objects=objects,
        needs={
            work.key(key): tuple(sorted(work.key(each) for each in needed))
            for key, needed in base.needs.items()
        },
        inherited={
            thing.key: thing
            for key, each in base.inherited.items()
            if isinstance(thing := work.thing(each), Constraint)
        },
        privileges={work.key(key): each for key, each in base.privileges.items()},
        lineage={work.key(key): each for key, each in base.lineage.items()},
        origin=base.origin,
        sizes={work.key(key): each for key, each in base.sizes.items()},
        writes={work.key(key): each for key, each in base.writes.items()},
        leftovers=tuple(replace(each, table=work.table(each.table)) for each in base.leftovers),
        hidden=tuple(
            replace(each, table=work.table(each.table), needs=tuple(map(work.key, each.needs)))
            for each in base.hidden
        ),
        role=base.role,
        superuser=base.superuser,
        roles=base.roles,
        uncompared=base.uncompared,
        whole=base.whole,
    )


class _Renaming:
    """One set of renames applied to keys, paths and texts."""

    def __init__(self, renames: Renames, base: Snapshot) -> None:
        self.keys = {**renames.keys, **_moved_along(base, renames)}
        #: (table, name of the constraint above) -> its new name
        self.parts = {
            (*table.path, old.path[-1]): new.path[-1]
            for old, new in renames.keys.items()
            if old.kind in {"constraint", "index"}
            for table in Tree(base).children(old.parent if old.kind == "constraint" else _table(base, old))
        }
        self.tables = {old.path: new.path for old, new in renames.keys.items() if old.kind == "table"}
        self.columns: dict[tuple[str, ...], dict[str, str]] = {}
        for old, new in renames.keys.items():
            if old.kind == "column":
                self.columns.setdefault(old.path[:2], {})[old.path[2]] = new.path[2]
        self.sequences = {old: new for old, new in self.keys.items() if old.kind == "sequence"}
        self.labels = renames.labels

    def table(self, path: tuple[str, ...]) -> tuple[str, ...]:
        return self.tables.get(path, path)

    def column(self, path: tuple[str, ...]) -> tuple[str, ...]:
        if len(path) < 3:
            return path
        name = self.columns.get(path[:2], {}).get(path[2], path[2])
        return (*self.table(path[:2]), name)

    def key(self, key: Key) -> Key:
        if key in self.keys:
            return self.keys[key]
        if key.kind in {"column", "default", "identity sequence"}:
            return Key(key.kind, self.column(key.path))
        if key.kind in MEMBERS or (key.path[:2] in self.tables and key.kind in _OF_TABLES):
            return Key(key.kind, (*self.table(key.path[:2]), *key.path[2:]))
        return key

    def text(self, text: str, table: tuple[str, ...]) -> str:
        """An expression over a table's columns."""
        names = {quote(old): quote(new) for old, new in self.columns.get(table, {}).items()}
        return self.constants(with_renamed(text, names))

    def constants(self, text: str) -> str:
        """Constants that name something: enum labels and sequences."""
        for (path, old), new in self.labels.items():
            suffix = f"::{dotted(*path)}"
            text = text.replace(literal(old).strip() + suffix, literal(new).strip() + suffix)
        for before, after in self.sequences.items():
            text = text.replace(f"{literal(before.name)}::regclass", f"{literal(after.name)}::regclass")
        return text

    def names(self, names: tuple[str, ...], table: tuple[str, ...]) -> tuple[str, ...]:
        known = self.columns.get(table, {})
        return tuple(known.get(name, name) for name in names)

    def thing(self, thing: Object) -> Object:  # noqa: PLR0911 - one case for each kind
        key = self.key(thing.key)
        owner = table_of(thing)
        table = owner.path if owner is not None else ()
        if isinstance(thing, Table):
            return self.placed(replace(thing, key=key), thing.key.path)
        if isinstance(thing, Column):
            return self.numbered(replace(thing, key=key), thing.key)
        if isinstance(thing, Default):
            return replace(thing, key=key, expression=self.constants(thing.expression))
        if isinstance(thing, Constraint):
            return self.constraint(replace(thing, key=key), table)
        if isinstance(thing, Index):
            whole = self.part(thing.part_of, Key("index", (thing.key.path[0], thing.part_of)))
            return replace(
                thing,
                key=key,
                table=self.table(table),
                definition=self.text(thing.definition, table),
                part_of=whole,
            )
        if isinstance(thing, Sequence):
            return replace(thing, key=key, owned_by=self.column(thing.owned_by))
        if isinstance(thing, Enum):
            labels = tuple(self.labels.get((key.path, label), label) for label in thing.labels)
            return replace(thing, key=key, labels=labels)
        if isinstance(thing, View):
            return replace(thing, key=key, definition=self.constants(thing.definition))
        if isinstance(thing, Trigger):
            definition = self.text(thing.definition, table)
            old, new = f" ON {dotted(*table)} ", f" ON {dotted(*self.table(table))} "
            return replace(thing, key=key, definition=definition.replace(old, new, 1))
        if isinstance(thing, Stated) and thing.of is not None:
            old, new = dotted(*thing.of.path), dotted(*self.key(thing.of).path)

            def said(text: str) -> str:
                return self.text(text, thing.of.path).replace(old, new) if thing.of else text

            parts = tuple(
                (name, said(add), said(change), said(drop)) for name, add, change, drop in thing.parts
            )
            return replace(
                thing,
                key=key,
                of=self.key(thing.of),
                create=said(thing.create),
                whole=said(thing.whole),
                parts=parts,
            )
        if isinstance(thing, Other):
            return replace(thing, key=key, of=self.key(thing.of) if thing.of else None)
        return replace(thing, key=key)

    def numbered(self, thing: Column, was: Key) -> Column:
        """A column, with its own names in what it is computed from, numbered by and checked with."""
        table = was.path[:2]
        name = thing.not_null_name
        if thing.not_null_constraint and thing.local and thing.key != was:
            usual = not_null_name(*thing.key.path[1:])
            name = thing.not_null_constraint if thing.not_null_constraint != usual else ""
        numbers = dict(thing.identity_sequence)
        if numbers.get("schema") == table[0]:
            numbers["schema"] = thing.key.path[0]
        return replace(
            thing,
            generated=self.text(thing.generated, table) if thing.generated is not None else None,
            not_null_name=name,
            identity_sequence=tuple(sorted(numbers.items())),
        )

    def placed(self, thing: Table, path: tuple[str, ...]) -> Table:
        """A table's place in its tree."""
        return replace(
            thing,
            partition_of=self.table(thing.partition_of),
            inherits=tuple(map(self.table, thing.inherits)),
            partition_key=self.text(thing.partition_key, path),
            partition_check=self.text(thing.partition_check, path),
        )

    def part(self, name: str, whole: Key) -> str:
        """The name of what an index or key is a part of."""
        return self.keys.get(whole, whole).path[-1] if name else ""

    def constraint(self, thing: Constraint, table: tuple[str, ...]) -> Constraint:
        head, arrow, rest = (
            thing.definition.partition(" REFERENCES ") if thing.references else (thing.definition, "", "")
        )
        definition = self.text(head, table)
        if arrow:
            target = dotted(*thing.references)
            if rest.startswith(target):
                columns, tail = bracketed(rest.removeprefix(target).lstrip())
                there = self.text(columns, thing.references)
                rest = f"{dotted(*self.table(thing.references))}{there}{tail}"
            definition += arrow + rest
        return replace(
            thing,
            definition=definition,
            columns=self.names(thing.columns, table),
            reference_columns=self.names(thing.reference_columns, thing.references),
            references=self.table(thing.references),
            part_of=self.parts.get((*table, thing.part_of), thing.part_of),
        )


def _moved_along(base: Snapshot, renames: Renames) -> dict[Key, Key]:
    """Indexes and owned sequences of tables that move to another schema (Postgres docs, ALTER TABLE SET SCHEMA)."""
    moves = {
        old.path: new.path[0]
        for old, new in renames.keys.items()
        if old.kind == "table" and old.path[0] != new.path[0]
    }
    if not moves:
        return {}
    found = {}
    for key, thing in base.objects.items():
        table = thing.table if isinstance(thing, Index) else ()
        if isinstance(thing, Sequence):
            table = thing.owned_by[:2]
        if table in moves and key not in renames.keys:
            found[key] = Key(key.kind, (moves[table], key.path[1]))
    return found


def _table(base: Snapshot, index: Key) -> Key:
    """The table of an index."""
    thing = base.objects.get(index)
    return Key("table", thing.table if isinstance(thing, Index) else ())


#: Kinds that are only looked at and whose path begins with their table's.
_OF_TABLES = frozenset({"policy", "rule", "table storage"})
