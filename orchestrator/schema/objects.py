"""What a database holds, as values: one frozen class per kind of object. Pure: no I/O of any kind."""

from dataclasses import dataclass, field

from orchestrator.schema.names import MEMBERS, Key, quote

Pairs = tuple[tuple[str, str], ...]

#: Name, and the statements that add, change and take away.
Part = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """Anything in a database that has a name.

    Attributes:
        key: what identifies it.
        comment: COMMENT ON, or None.
    """

    key: Key
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema(Object):
    """A namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension(Object):
    """An extension; what belongs to it comes and goes with it.

    Attributes:
        version: the installed version.
        schema: where its objects are.
        members: what belongs to it, as ``ALTER EXTENSION ... ADD`` names it, sorted.
        relocatable: whether it can move to another schema; not compared.
    """

    version: str
    schema: str
    members: tuple[str, ...] = ()
    relocatable: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Object):
    """A table, partitioned table or partition, without its columns.

    Attributes:
        partition_key: ``RANGE (a, b)`` of a partitioned table, else empty.
        partition_of: schema and name of the table that this is a partition of, else empty.
        bound: ``FOR VALUES ...`` or ``DEFAULT`` of a partition, else empty.
        inherits: schema and name of each INHERITS parent, in order.
        of_type: the composite type of a typed table (CREATE TABLE ... OF), else empty.
        access_method: where it is not heap; empty else.
        partition_check: what the bounds demand of a row, as an expression; empty where it names oids (hash).
        unlogged: not WAL-logged.
        options: storage parameters, ``toast.`` ones with their prefix, sorted.
        replica_identity: ``DEFAULT``, ``FULL``, ``NOTHING`` or ``USING INDEX name``.
        clustered_on: the name of the index that CLUSTER ON chose, or None.
        row_security: whether policies decide who sees which rows.
        row_security_forced: whether they also bind the table's owner.
    """

    unlogged: bool = False
    options: Pairs = ()
    replica_identity: str = "DEFAULT"
    clustered_on: str | None = None
    row_security: bool = False
    row_security_forced: bool = False
    partition_key: str = ""
    partition_of: tuple[str, ...] = ()
    bound: str = ""
    inherits: tuple[tuple[str, ...], ...] = ()
    of_type: str = ""
    access_method: str = ""
    partition_check: str = field(default="", compare=False)

    @property
    def parents(self) -> tuple[tuple[str, ...], ...]:
        """The paths of the tables that it inherits from or is a partition of, in order."""
        return (self.partition_of,) if self.partition_of else self.inherits


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Object):
    """A column of a table; its default is an object of its own.

    Attributes:
        type: format_type() with modifiers, qualified where not in pg_catalog.
        collation: qualified name when it is not the type's own, else None.
        not_null: whether NULL is refused.
        identity: ``ALWAYS``, ``BY DEFAULT`` or None.
        identity_sequence: the identity's sequence: its name and options, sorted; ``persistence`` only where it is
            not logged as the table is.
        sequence_comment: COMMENT ON that sequence, or None.
        generated: the expression of a stored generated column, or None.
        settings: STORAGE, COMPRESSION, STATISTICS and attribute options that are not the default, sorted.
        not_null_name: the name of its NOT NULL constraint where somebody chose one (PostgreSQL 18), else empty.
        not_null_more: ``NO INHERIT`` or ``NOT VALID`` where its NOT NULL is that (PostgreSQL 18), else empty.
        not_null_constraint: the name it really has, chosen or not; not compared.
        not_null_local: False where a table that INHERITS has its NOT NULL only from above; not compared.
        virtual: computed when it is read (PostgreSQL 18), not stored.
        local: False for a column that the table has only because it INHERITS it (a partition's counts as its own).
        position: where it stands among the live columns, from 1; not compared (it cannot be changed).
        granted: whether it has grants of its own, which a column that takes its place would lose; not compared.
    """

    type: str
    collation: str | None = None
    not_null: bool = False
    identity: str | None = None
    identity_sequence: Pairs = ()
    sequence_comment: str | None = None
    generated: str | None = None
    settings: Pairs = ()
    not_null_name: str = ""
    not_null_more: str = ""
    not_null_constraint: str = field(default="", compare=False)
    not_null_local: bool = field(default=True, compare=False)
    virtual: bool = False
    local: bool = True
    position: int = field(default=0, compare=False)
    granted: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Default(Object):
    """The default of a column of a table or view: ``expression`` as PostgreSQL deparses it."""

    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint(Object):
    """A table constraint.

    Attributes:
        type: ``primary``, ``unique``, ``foreign``, ``check`` or ``exclusion``.
        definition: pg_get_constraintdef() without NOT VALID.
        columns: its columns' names in order (empty for expressions).
        references: schema and table that a foreign key points at, else empty.
        reference_columns: the columns there.
        validated: False for NOT VALID.
        index_options: storage parameters of the index behind it.
        index_comment: COMMENT ON that index, or None.
        part_of: name of the same constraint of the partitioned table above, which this is a part of, else empty.
        valid: False while the index behind it is not built on every partition.
    """

    type: str
    definition: str
    columns: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    reference_columns: tuple[str, ...] = ()
    validated: bool = True
    index_options: Pairs = ()
    index_comment: str | None = None
    part_of: str = ""
    valid: bool = True

    @property
    def temporal(self) -> bool:
        """Whether it is about ranges that overlap or are covered (PostgreSQL 18): equal values say little then."""
        keyed = " WITHOUT OVERLAPS)" in self.definition
        return (
            keyed
            if self.type in {"primary", "unique"}
            else self.type == "foreign" and ", PERIOD " in self.definition
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Object):
    """An index that no constraint owns.

    Attributes:
        table: schema and name of its table or materialized view.
        unique: whether it refuses duplicates.
        definition: pg_get_indexdef() from the access method on: ``btree (a) WHERE (b > 0)``.
        valid: False for what an interrupted CREATE INDEX CONCURRENTLY leaves, or what some partition lacks.
        part_of: name of the index of the partitioned table above, which this is a part of, else empty.
        statistics: statistics targets of its expression columns, by column number.
        on: the kind of what it is on: ``table`` or ``materialized view``.
    """

    table: tuple[str, ...]
    unique: bool
    definition: str
    valid: bool = True
    part_of: str = ""
    statistics: Pairs = ()
    on: str = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence(Object):
    """A sequence that is not an identity's.

    Attributes:
        type: ``integer``, ``bigint`` or ``smallint``.
        start, increment, minimum, maximum, cache: its numbers.
        cycle: whether it wraps around.
        unlogged: not WAL-logged.
        owned_by: schema, table and column it is dropped with (serial), else empty.
    """

    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    unlogged: bool = False
    owned_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Enum(Object):
    """An enumerated type: its labels in order."""

    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain(Object):
    """A domain.

    Attributes:
        base: format_type() of the type below, with modifiers.
        collation: qualified name when it is not that type's own, else None.
        not_null: whether NULL is refused.
        default: its default as PostgreSQL deparses it, or None.
        rules: its checks by name: (name, definition, validated, comment or "").
    """

    base: str
    collation: str | None = None
    not_null: bool = False
    default: str | None = None
    rules: tuple[tuple[str, str, bool, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite(Object):
    """A composite type that is no table's.

    Attributes:
        attributes: in order: name, type, qualified collation where it is not the type's own (or ""), comment (or "").
    """

    attributes: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated(Object):
    """An object that is fully said by the statement that makes it; another text means making it again.

    Attributes:
        noun: its kind as DROP and COMMENT ON write it: ``POLICY``.
        create: the statement that makes it.
        subject: its name as these write it; empty for what is named ``name ON relation``.
        parts: what can be added, changed and taken away in place: (name, statement that adds it, statement that
            changes it, statement that takes it away); an empty statement: that takes making the object again.
            A part ``a/b`` comes and goes with the part ``a``.
        whole: the statement that makes it with all its parts but those whose name begins with ``+``; empty:
            ``create``, then every part is added.
        secrets: names and digests of what must never be shown (passwords); a difference is refused.
        of: the relation that it goes with when that is dropped, or None.
        more_names: other names that it occupies as a type (the multirange of a range type).
        drop: the statement that drops it; empty: ``DROP``, noun and name.
    """

    noun: str
    create: str
    subject: str = ""
    parts: tuple[Part, ...] = ()
    whole: str = field(default="", compare=False)
    secrets: Pairs = ()
    of: Key | None = field(default=None, compare=False)
    more_names: tuple[str, ...] = ()
    drop: str = field(default="", compare=False)

    @property
    def called(self) -> str:
        """Its name as DROP and COMMENT ON write it."""
        on = f" ON {self.of.name}" if self.of is not None and not self.subject else ""
        return self.subject or f"{quote(self.key.path[-1])}{on}"


@dataclass(frozen=True, slots=True, kw_only=True)
class View(Object):
    """A plain view.

    Attributes:
        definition: pg_get_viewdef() without its semicolon.
        options: security_barrier, security_invoker, check_option.
        columns: names and types in order.
        column_comments: comments on its columns, sorted by name.
    """

    definition: str
    options: Pairs = ()
    columns: Pairs = ()
    column_comments: Pairs = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterializedView(View):
    """A view whose rows are kept.

    Attributes:
        access_method: the table access method when it is not heap, else empty.
        clustered_on: the name of the index that CLUSTER ON chose, or None.
        column_settings: STORAGE, COMPRESSION, STATISTICS and attribute options that are not the default: column,
            setting, value; sorted.
        populated: whether it can be read; not compared (REFRESH changes it, and it is no part of a schema).
    """

    access_method: str = ""
    clustered_on: str | None = None
    column_settings: tuple[tuple[str, str, str], ...] = ()
    populated: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function(Object):
    """A function, window function or procedure.

    Attributes:
        routine: ``function`` or ``procedure``.
        definition: pg_get_functiondef().
        shape: what CREATE OR REPLACE cannot change: result, argument names and modes, number of defaults.
    """

    routine: str
    definition: str
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger(Object):
    """A trigger on a table or view.

    Attributes:
        definition: pg_get_triggerdef().
        enabled: ``ENABLE``, ``DISABLE``, ``ENABLE REPLICA`` or ``ENABLE ALWAYS``.
        cloned: it is the partitioned table's; only ``enabled`` is this partition's own.
    """

    definition: str
    enabled: str = "ENABLE"
    cloned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Object):
    """An object of a kind that is looked at but not planned: equal, or refused by name.

    Attributes:
        digest: SHA-256 (hex) of its definition.
        of: the key of the object that it goes with when that is dropped, or None.
    """

    digest: str
    of: Key | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A table or a column that an earlier promotion set aside. It is compared with nothing, but it is there.

    Attributes:
        name: its reserved name: the schema that holds the table, or the column.
        table: schema and name of the table, where it is now.
        column: whether it is a column of that table, or the table itself.
        needs: which objects of the snapshot it stands on: they cannot go while it stays.
    """

    name: str
    table: tuple[str, ...]
    column: bool
    needs: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A helper object that an interrupted run left: one of our reserved names.

    Its kind is ``index``, ``constraint``, ``column``, ``trigger``, ``function`` (no arguments) or ``sequence``.

    Attributes:
        key: what identifies it.
        table: schema and name of the table it is on; of a function its schema only.
        valid: whether it is usable.
    """

    key: Key
    table: tuple[str, ...]
    valid: bool


def table_of(thing: Object) -> Key | None:
    """The table (or view) that an object is part of and goes with; None for what stands alone."""
    if isinstance(thing, Index):
        return Key(thing.on, thing.table)
    if isinstance(thing, Stated):
        return thing.of
    return thing.key.parent if thing.key.kind in MEMBERS else None


#: Every kind of object that a snapshot may hold.
KINDS: tuple[type[Object], ...] = (
    Schema,
    Extension,
    Table,
    Column,
    Default,
    Constraint,
    Index,
    Sequence,
    Enum,
    Domain,
    Composite,
    Stated,
    View,
    MaterializedView,
    Function,
    Trigger,
    Other,
)
