"""What two snapshots say of the objects that differ, as lines that stand side by side. Pure: no I/O of any kind.

The lines read like SQL and are for eyes only: nothing runs them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import diff
from orchestrator.schema.names import Key, literal, quote
from orchestrator.schema.objects import (
    Column,
    Composite,
    Constraint,
    Default,
    Domain,
    Enum,
    Extension,
    Function,
    Index,
    MaterializedView,
    Object,
    Other,
    Pairs,
    Sequence,
    Stated,
    Table,
    Trigger,
    View,
    table_of,
)

#: A row of the diary holds so much of it; what is left out is counted.
MOST_OBJECTS = 200
MOST_LINES = 400

#: How far a sequence of a type goes.
_MAXIMA = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_CONSTRAINTS = ("primary", "unique", "exclusion", "foreign", "check")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One object on both sides; what belongs to a table stands with the table.

    Attributes:
        subject: kind and name, ``table public.orders``.
        change: ``added``, ``dropped`` or ``changed``.
        before, after: its lines on each side; empty where it is not.
        left_out: how many lines of both sides together are not shown.
    """

    subject: str
    change: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    left_out: int = 0

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Difference":
        """The reverse of to_json."""
        return cls(**{**value, "before": tuple(value["before"]), "after": tuple(value["after"])})


def differences(
    base: Snapshot, goal: Snapshot, *, renames: Mapping[Key, Key] | None = None
) -> tuple[Difference, ...]:
    """Every object that differs, tables first, each sorted by name.

    Args:
        base, goal: the two sides.
        renames: old names to new ones: what was renamed stands on both sides.
    """
    found = diff(base, goal)
    olds = {new: old for old, new in (renames or {}).items()}
    keys = {_whole(base, key) for key in found.dropped | found.changed}
    keys |= {_whole(goal, key) for key in found.added | found.changed}
    keys -= {old for new, old in olds.items() if new in keys}  # it stands with its new name
    ordered = sorted(keys, key=lambda key: (key.kind != "table", key))
    return tuple(_difference(base, goal, key, olds.get(key, key)) for key in ordered)


def _whole(snapshot: Snapshot, key: Key) -> Key:
    """The object with which this one is shown."""
    owner = table_of(snapshot.objects[key]) if key in snapshot.objects else None
    if owner is None:
        return key
    # A trigger or a default may be a view's: its key does not say so.
    kinds = (owner.kind, "view", "materialized view", "foreign table")
    return next((each for kind in kinds if (each := Key(kind, owner.path)) in snapshot.objects), key)


def _difference(base: Snapshot, goal: Snapshot, key: Key, old: Key) -> Difference:
    before, after = tuple(lines(base, old)), tuple(lines(goal, key))
    return Difference(
        subject=str(key),
        change="changed" if before and after else "added" if after else "dropped",
        before=before[:MOST_LINES],
        after=after[:MOST_LINES],
        left_out=sum(max(0, len(side) - MOST_LINES) for side in (before, after)),
    )


def lines(snapshot: Snapshot, key: Key) -> Iterator[str]:
    """An object as lines, with everything that belongs to it; none where it is not."""
    thing = snapshot.objects.get(key)
    if thing is None:
        return
    if isinstance(thing, Table):
        yield from _table(snapshot, thing)
    else:
        yield from _alone(thing)
        yield from _members(snapshot, key)
    yield from _comment(str(key), thing.comment)


def _table(snapshot: Snapshot, table: Table) -> Iterator[str]:
    yield f"{'UNLOGGED ' * table.unlogged}TABLE {table.key.name}"
    if table.partition_of:
        yield f"  PARTITION OF {_dotted(table.partition_of)} {table.bound}"
    if table.partition_key:
        yield f"  PARTITION BY {table.partition_key}"
    if table.inherits:
        yield f"  INHERITS {', '.join(_dotted(each) for each in table.inherits)}"
    if table.of_type:
        yield f"  OF {table.of_type}"
    if table.access_method:
        yield f"  USING {table.access_method}"
    yield from _options(table.options)
    for column in snapshot.columns_of(table.key):
        yield f"  {_column(snapshot, column)}"
        yield from _comment(f"column {quote(column.key.path[-1])}", column.comment, "    ")
    yield from _members(snapshot, table.key)
    if table.replica_identity != "DEFAULT":
        yield f"  REPLICA IDENTITY {table.replica_identity}"
    if table.clustered_on:
        yield f"  CLUSTER ON {quote(table.clustered_on)}"
    if table.row_security:
        yield f"  ROW LEVEL SECURITY{' FORCED' * table.row_security_forced}"


def _column(snapshot: Snapshot, column: Column) -> str:
    words = [quote(column.key.path[-1]), column.type]
    if column.collation:
        words.append(f"COLLATE {column.collation}")
    default = snapshot.objects.get(Key("default", column.key.path))
    if isinstance(default, Default):
        words.append(f"DEFAULT {' '.join(default.expression.split())}")
    if column.identity:
        words.append(f"GENERATED {column.identity} AS IDENTITY{_listed(_unusual(column))}")
    if column.generated is not None:
        kept = "VIRTUAL" if column.virtual else "STORED"
        words.append(f"GENERATED ALWAYS AS ({' '.join(column.generated.split())}) {kept}")
    if column.not_null:
        words.append(f"NOT NULL {column.not_null_more}".rstrip())
    if column.settings:
        words.append(_listed(column.settings).strip())
    return " ".join(words)


def _members(snapshot: Snapshot, owner: Key) -> Iterator[str]:
    """What belongs to a table or view and is no column: constraints, indexes, triggers, policies, in this order."""
    found = [snapshot.objects[key] for key in snapshot.members(owner)]
    if owner.kind != "table":
        # A view's defaults; of a table they stand with its columns.
        for given in (each for each in found if isinstance(each, Default)):
            yield f"  {quote(given.key.path[-1])} DEFAULT {' '.join(given.expression.split())}"
    constraints = [each for each in found if isinstance(each, Constraint)]
    for each in sorted(constraints, key=lambda each: (_CONSTRAINTS.index(each.type), each.key)):
        state = "" if each.validated else " NOT VALID"
        unbuilt = "" if each.valid else " (not built)"
        text = f"CONSTRAINT {quote(each.key.path[-1])} {each.definition}{state}{unbuilt}"
        yield from _indented(f"{text}{_listed(each.index_options)}")
        yield from _comment(f"constraint {quote(each.key.path[-1])}", each.comment, "    ")
    for kind in (Index, Trigger, Stated, Other):
        for member in found:
            if isinstance(member, kind):
                yield from (f"  {line}" for line in _alone(member))
                yield from _comment(str(member.key), member.comment, "    ")


def _alone(thing: Object) -> Iterator[str]:  # noqa: PLR0912 - one branch for each kind
    """An object without what belongs to it."""
    if isinstance(thing, Index):
        valid = "" if thing.valid else " (not valid)"
        noun = f"{'UNIQUE ' * thing.unique}INDEX"
        yield from f"{noun} {quote(thing.key.path[-1])} USING {thing.definition}{valid}".split("\n")
    elif isinstance(thing, Trigger):
        yield from thing.definition.split("\n")
        if thing.enabled != "ENABLE":
            yield f"  {thing.enabled}"
    elif isinstance(thing, MaterializedView | View):
        noun = "MATERIALIZED VIEW" if isinstance(thing, MaterializedView) else "VIEW"
        yield f"{noun} {thing.key.name} AS"
        yield from thing.definition.split("\n")
        yield from _options(thing.options)
        for name, comment in thing.column_comments:
            yield from _comment(f"column {quote(name)}", comment)
    elif isinstance(thing, Function):
        yield from thing.definition.rstrip("\n").split("\n")
    elif isinstance(thing, Enum):
        yield f"TYPE {thing.key.name} AS ENUM"
        yield from (f"  {literal(label).strip()}" for label in thing.labels)
    elif isinstance(thing, Domain):
        yield f"DOMAIN {thing.key.name} AS {thing.base}{' NOT NULL' * thing.not_null}"
        if thing.default is not None:
            yield f"  DEFAULT {thing.default}"
        for name, definition, validated, _ in thing.rules:
            yield f"  CONSTRAINT {quote(name)} {definition}{'' if validated else ' NOT VALID'}"
    elif isinstance(thing, Composite):
        yield f"TYPE {thing.key.name} AS"
        yield from (f"  {quote(name)} {kind}" for name, kind, _, _ in thing.attributes)
    elif isinstance(thing, Sequence):
        yield f"{'UNLOGGED ' * thing.unlogged}SEQUENCE {thing.key.name} AS {thing.type}"
        yield f"  START {thing.start} INCREMENT {thing.increment} CACHE {thing.cache}{' CYCLE' * thing.cycle}"
        yield f"  MINVALUE {thing.minimum} MAXVALUE {thing.maximum}"
        if thing.owned_by:
            yield f"  OWNED BY {_dotted(thing.owned_by)}"
    elif isinstance(thing, Extension):
        yield f"EXTENSION {thing.key.name} VERSION {thing.version} SCHEMA {quote(thing.schema)}"
    elif isinstance(thing, Stated):
        yield from thing.create.split("\n")
        for _, add, _, _ in thing.parts:
            yield from _indented(add)
        for name, _ in thing.secrets:
            yield f"  {name}: kept secret; a digest is compared"
    elif isinstance(thing, Other):
        yield f"{thing.key} (its definition is compared, not shown)"
    else:
        yield f"{thing.key.kind.upper()} {thing.key.name}"
        own = {each.name for each in fields(Object)}
        for each in fields(thing):
            if each.compare and each.name not in own:
                yield f"  {each.name}: {getattr(thing, each.name)}"


def _indented(text: str) -> Iterator[str]:
    return (f"  {line}" for line in text.split("\n"))


def _options(options: Pairs) -> Iterator[str]:
    if options:
        yield f"  WITH{_listed(options)}"


def _unusual(column: Column) -> Pairs:
    """What PostgreSQL itself would not have chosen for the sequence of an identity."""
    schema, table, name = column.key.path
    usual = {
        **dict.fromkeys(("cache", "increment", "minimum", "start"), "1"),
        "cycle": "False",
        "name": f"{table}_{name}_seq",
        "schema": schema,
        "maximum": str(_MAXIMA.get(column.type)),
    }
    return tuple((key, value) for key, value in column.identity_sequence if usual.get(key) != str(value))


def _listed(pairs: Pairs) -> str:
    return f" ({', '.join(f'{name} {value}' for name, value in pairs)})" if pairs else ""


def _comment(what: str, comment: str | None, indent: str = "") -> Iterator[str]:
    if comment is not None:
        yield f"{indent}COMMENT ON {what} IS {' '.join(literal(comment).split())}"


def _dotted(path: Iterable[str]) -> str:
    return ".".join(quote(each) for each in path)


def shortened(found: tuple[Difference, ...]) -> dict[str, Any]:
    """``{"objects", "left_out"}`` for a row of the diary: the first MOST_OBJECTS, and how many more there are."""
    return {
        "objects": [each.to_json() for each in found[:MOST_OBJECTS]],
        "left_out": max(0, len(found) - MOST_OBJECTS),
    }
