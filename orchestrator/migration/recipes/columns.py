"""Columns: add and drop, with their defaults. Changing one in place is column_changes. Pure: no I/O."""

from collections.abc import Iterator
from typing import Any

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard, Probe
from orchestrator.migration.recipes import kept, online_add
from orchestrator.migration.recipes.sequences import LIMITS
from orchestrator.migration.recursion import RECURSING
from orchestrator.migration.step import Phase, Step, ready
from orchestrator.migration.types import own_storage
from orchestrator.migration.volatile import is_volatile
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, dotted, literal, not_null_name, quote
from orchestrator.schema.objects import Column, Default

#: Settings that a new table takes over with the columns that it inherits.
_COPIED = ("STORAGE", "COMPRESSION")
_SETTINGS = ("STORAGE", "COMPRESSION", "STATISTICS")


def fill_id(key: Key) -> str:
    """The id of the question which value existing rows get."""
    return f"fill:{key.name}"


def identity_sql(column: Column) -> str:
    """``GENERATED ... AS IDENTITY (...)`` with the options that are not PostgreSQL's own choice."""
    options = dict(column.identity_sequence)
    schema, table, name = column.key.path
    limit = LIMITS.get(column.type, LIMITS["bigint"])
    up = not options["increment"].startswith("-")
    low, high = ("1", str(limit)) if up else (str(-limit - 1), "-1")
    words = []
    if (options["schema"], options["name"]) != (schema, f"{table}_{name}_seq"):
        words.append(f"SEQUENCE NAME {dotted(options['schema'], options['name'])}")
    words += [f"INCREMENT BY {options['increment']}"] if options["increment"] != "1" else []
    words += [f"MINVALUE {options['minimum']}"] if options["minimum"] != low else []
    words += [f"MAXVALUE {options['maximum']}"] if options["maximum"] != high else []
    words += (
        [f"START WITH {options['start']}"]
        if options["start"] != options["minimum" if up else "maximum"]
        else []
    )
    words += [f"CACHE {options['cache']}"] if options["cache"] != "1" else []
    words += ["CYCLE"] if options["cycle"] == "True" else []
    return f"GENERATED {column.identity} AS IDENTITY" + (f" ({' '.join(words)})" if words else "")


def column_sql(column: Column, default: str | None, *, not_null: bool = True, computed: bool = True) -> str:
    """A column as CREATE TABLE and ADD COLUMN take it; without ``computed`` it takes its expression from above."""
    words = [quote(column.key.path[-1]), column.type]
    words += [f"COLLATE {column.collation}"] if column.collation else []
    kind = "VIRTUAL" if column.virtual else "STORED"
    expression = column.generated if computed else None
    words += [f"GENERATED ALWAYS AS ({expression}) {kind}"] if expression is not None else []
    words += [f"DEFAULT {default}"] if default is not None else []
    if column.not_null and not_null and column.not_null_more != "NOT VALID":
        name = column.not_null_constraint
        named = name and name != usual_name(column.key)
        words.append((f"CONSTRAINT {quote(name)} " if named else "") + "NOT NULL")
        words += [column.not_null_more] if column.not_null_more else []
    words += [identity_sql(column)] if column.identity else []
    return " ".join(words)


def usual_name(key: Key) -> str:
    """What PostgreSQL 18 calls the NOT NULL constraint of a column when nobody says."""
    return not_null_name(*key.path[1:])


def steps(work: Work) -> Iterator[Step]:
    """Steps for every column that is added to, or dropped from, a table that stays."""
    for key in sorted(work.makes):
        if key.kind == "column":
            table = Key("table", key.path[:2])
            column = work.after(key, Column)
            late = column.generated is not None and table in work.bare and not work.will.above(key)
            if table in work.found.added and not late:
                yield from _new(work, key, column)
                yield from unproved(work, key, column)
            elif work.comes_along(key):
                yield from _deviating(work, key, column)
            elif key in work.online.added:
                yield from online_add.steps(work, key)
                yield from settings(work, key, (), column.settings)
            else:
                yield from _add(work, key, column)
                yield from unproved(work, key, column)
    for key in sorted(work.drops):
        if key.kind == "column" and not work.goes_along(key):
            keeps = kept.keeps(work, key)
            yield from kept.column(work, key, keeps) if keeps else (_drop(work, key),)


def _add(work: Work, key: Key, column: Column) -> Iterator[Step]:
    table = key.parent
    default_key = Key("default", key.path)
    default = work.goal.objects.get(default_key)
    expression = default.expression if isinstance(default, Default) else None
    made = [key, default_key] if expression is not None else [key]
    hazards: list[Hazard] = []
    probes: list[Probe] = []
    stored = column.generated is not None and not column.virtual
    each_row = stored or column.identity or (expression and is_volatile(expression))
    if each_row and work.has_rows(table):
        detail = f"{table.name} is written again, because each row gets its own value"
        hazards.append(hazard("rewrites_table", table.name, detail))
        hazards.append(
            hazard("blocks_reads", table.name, f"queries on {table.name} wait until it is written")
        )
    fill = None
    if needs_fill(work, key):
        fill = work.answers.get(fill_id(key), "-")
        if fill == "-":
            fill = None
            detail = f"{key.name} must not be NULL and has no default"
            hazards.append(
                hazard("needs_value", key.name, f"{detail}: give a value with {fill_id(key)}=EXPRESSION")
            )
            probes.append(work.probing(table).unfilled(key, fill_id(key)))
    sql = f"ALTER TABLE {table.name} ADD COLUMN {column_sql(column, fill or expression)}"
    yield work.step(
        key,
        Phase.CHANGE if key in work.rebuilt else Phase.CREATE,
        sql,
        f"add {key}" + (f", filled with {fill} in existing rows" if fill else ""),
        work.making(*made),
        tables=[table],
        lock=LockMode.ACCESS_EXCLUSIVE,
        heavy=bool(each_row) or bool(fill and is_volatile(fill)),
        gives=[("added", key)],
        hazards=tuple(hazards),
        probes=tuple(probes),
    )
    if fill:
        yield work.step(
            key, Phase.CREATE, f"ALTER TABLE {table.name} ALTER COLUMN {quote(key.path[-1])} DROP DEFAULT",
            f"the value was only for the rows that were there: {key.name} has no default", tables=[table],
            lock=LockMode.ACCESS_EXCLUSIVE, wants=[("added", key)],
        )  # fmt: skip
    yield from settings(work, key, (), column.settings)


def _new(work: Work, key: Key, column: Column) -> Iterator[Step]:
    """A column of a new table is made with it; one that is inherited may want to be a little different."""
    if work.will.above(key):
        yield from _deviating(work, key, column)
    else:
        yield from settings(work, key, (), column.settings)


def declared_default(work: Work, column: Column) -> str | None:
    """The default that CREATE TABLE gives a column; NULL where the one above must not be taken over."""
    folds = column.key.parent not in work.bare
    default = work.goal.objects.get(Key("default", column.key.path)) if folds else None
    if isinstance(default, Default):
        return default.expression
    above = work.will.above(Key("default", column.key.path))
    return "NULL" if any(each in work.goal.objects for each in above) else None


def _deviating(work: Work, key: Key, column: Column) -> Iterator[Step]:
    """What a column that comes from the table above has of its own."""
    above = [work.after(each, Column) for each in work.will.above(key)]
    table, new = key.parent, work.is_new(key.parent)
    alter = f"ALTER TABLE {table.name} ALTER COLUMN {quote(key.path[-1])}"
    strong: dict[str, Any] = {"wants": [ready(key)], "tables": [table], "lock": LockMode.ACCESS_EXCLUSIVE}
    told = new and column.local
    if column.not_null and not told and not any(each.not_null for each in above):
        why = f"{key} must not be NULL, unlike the one above"
        yield work.step(key, Phase.CHANGE, f"{alter} SET NOT NULL", why, heavy=True, **strong)
    default = Key("default", key.path)
    if default not in work.goal.objects and any(
        each in work.goal.objects for each in work.will.above(default)
    ):
        why = f"{key.name} has no default, unlike the one above"
        yield work.step(key, Phase.CHANGE, f"{alter} DROP DEFAULT", why, **strong)
    copied = _COPIED if new else RECURSING
    given = tuple(each for each in above[0].settings if each[0] in copied)
    yield from settings(work, key, given, column.settings)


def unproved(work: Work, key: Key, column: Column) -> Iterator[Step]:
    """NOT NULL that is not held against the rows that are there (PostgreSQL 18)."""
    if column.not_null_more == "NOT VALID":
        name = column.not_null_name or usual_name(key)
        yield work.step(
            key, Phase.FINISH,
            f"ALTER TABLE {key.parent.name} ADD CONSTRAINT {quote(name)} NOT NULL {quote(key.path[-1])} NOT VALID",
            f"refuse NULL in {key} from now on; rows that are there are not looked at", wants=[ready(key)],
            tables=[key.parent], lock=LockMode.ACCESS_EXCLUSIVE,
        )  # fmt: skip


def needs_fill(work: Work, key: Key) -> bool:
    """Whether a new column needs a value in rows that are there already."""
    column = work.after(key, Column)
    table = Key("table", key.path[:2])
    given = column.identity or column.generated is not None or Key("default", key.path) in work.goal.objects
    new = work.is_new(table) or work.comes_along(key)
    return column.not_null and not given and not new and work.has_rows(table)


def _drop(work: Work, key: Key) -> Step:
    table = key.parent
    derived = work.before(key, Column).generated is not None and key in work.rebuilt
    where = key.name
    only = "ONLY " if work.drops_only(key) else ""
    hazards = (
        hazard("deletes_data", where, f"the values of {where} are gone{kept.why_not(work, key)}"),
        hazard("breaks_running_code", where, f"code that still names {where} fails from here on"),
    )
    return work.step(
        key,
        Phase.TAKE_DOWN if key in work.rebuilt else Phase.DROP,
        f"ALTER TABLE {only}{table.name} DROP COLUMN {quote(key.path[-1])}",
        f"drop {key}, which {'must be computed anew' if derived else 'the goal does not have'}",
        work.dropping(key),
        tables=[table],
        lock=LockMode.ACCESS_EXCLUSIVE,
        hazards=() if derived else hazards,
        probes=() if derived else (work.probing(table).values(key.path[-1]),),
    )


def setting_changes(
    before: tuple[tuple[str, ...], ...], after: tuple[tuple[str, ...], ...], kind: str
) -> list[str]:
    """STORAGE, COMPRESSION, STATISTICS and attribute options of a column of this type, as clauses of ALTER COLUMN."""
    old, new = {each[0]: each[1] for each in before}, {each[0]: each[1] for each in after}
    resets = {"STORAGE": own_storage(kind), "COMPRESSION": "default", "STATISTICS": "-1"}
    changes = [
        f"SET {name} {value}" for name, value in new.items() if name in _SETTINGS and old.get(name) != value
    ]
    changes += [f"SET {name} {resets[name]}" for name in old if name in _SETTINGS and name not in new]
    options = [
        f"{name}={literal(value).strip()}"
        for name, value in new.items()
        if name not in _SETTINGS and old.get(name) != value
    ]
    changes += [f"SET ({', '.join(options)})"] if options else []
    dropped = [name for name in old if name not in _SETTINGS and name not in new]
    changes += [f"RESET ({', '.join(dropped)})"] if dropped else []
    return changes


def settings(
    work: Work, key: Key, before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]
) -> Iterator[Step]:
    """A step for each setting of a table's column that differs."""
    table = Key("table", key.path[:2])
    for change in setting_changes(
        before, after, work.after(key, Column).type if key in work.goal.objects else ""
    ):
        yield work.step(
            key, Phase.CHANGE, f"ALTER TABLE {table.name} ALTER COLUMN {quote(key.path[-1])} {change}",
            f"change how {key} is stored or measured", tables=[table], lock=LockMode.ACCESS_EXCLUSIVE,
            wants=[ready(key)],
        )  # fmt: skip
