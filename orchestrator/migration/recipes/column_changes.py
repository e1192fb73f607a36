"""Columns that change in place: type, collation, NOT NULL, identity, default. Pure: no I/O of any kind."""

from collections.abc import Iterator
from typing import Any

from orchestrator.migration import types
from orchestrator.migration.hazards import hazard
from orchestrator.migration.helpers import helper_name
from orchestrator.migration.locks import LockMode
from orchestrator.migration.narrowing import FAIL, NULL, TRUNCATE, conversion, narrow_id
from orchestrator.migration.plan import Hazard, Probe
from orchestrator.migration.recipes.columns import fill_id, identity_sql, settings
from orchestrator.migration.recipes.named_types import cast as named_cast
from orchestrator.migration.recipes.named_types import lost_labels, moved, relabelled, without_attributes
from orchestrator.migration.recipes.sequences import counting
from orchestrator.migration.recursion import recurses
from orchestrator.migration.step import Phase, Step, Token, gone, ready, released
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, dotted, quote
from orchestrator.schema.objects import Column, Constraint, Default

_IDENTITY_OPTIONS = (
    ("increment", "INCREMENT BY"),
    ("minimum", "MINVALUE"),
    ("maximum", "MAXVALUE"),
    ("start", "START WITH"),
    ("cache", "CACHE"),
)


def steps(work: Work) -> Iterator[Step]:
    """Steps for every column that is changed in place, and for defaults that come, change or go."""
    for key in sorted(work.found.changed | work.retyped):
        if key.kind == "column" and key not in work.rebuilt:
            yield from _changed(work, key, work.before(key, Column), work.after(key, Column))
    yield from _defaults(work)


def _from_above(work: Work, key: Key) -> bool:
    """Whether the statement about the default above, or about its column, is about this one too."""
    wanted = work.goal.objects.get(key)
    for above in work.will.above(key):
        column = Key("column", above.path)
        there = work.goal.objects.get(above)
        moving = above in work.makes | work.drops | work.found.changed or column in work.retyped
        if column in work.makes and not work.is_new(above.parent):
            if (
                isinstance(wanted, Default)
                and isinstance(there, Default)
                and wanted.expression == there.expression
            ):
                return True
        elif work.is_new(key.parent) or work.is_new(above.parent):
            return (
                work.is_new(key.parent)
                and isinstance(wanted, Default)
                and isinstance(there, Default)
                and (wanted.expression == there.expression)
            )
        elif moving and recurses(work.base, work.goal, work.will, above):
            return True
    return False


def _made_above(work: Work, column: Key) -> bool:
    """Whether the statement that makes a column is about another table, so that it cannot say this one's default."""
    if work.is_new(column.parent):
        return bool(work.will.above(column)) and not work.after(column, Column).local
    return work.comes_along(column)


def _alter(key: Key, only: str = "") -> str:
    return f"ALTER TABLE {only}{key.parent.name} ALTER COLUMN {quote(key.path[-1])}"


def _changed(work: Work, key: Key, before: Column, after: Column) -> Iterator[Step]:
    table = key.parent
    gives, wants = work.changing(key)
    last: list[Token] = []  # each change of one column waits for the one before it
    strong: dict[str, Any] = {"tables": [table], "lock": LockMode.ACCESS_EXCLUSIVE}

    def chained(name: str) -> dict[str, Any]:
        token: Token = ("chain", name, key.path)
        chain: dict[str, Any] = {"gives": [token], "wants": list(last)}
        last[:] = [token]
        return chain

    if before.generated is not None and after.generated is None:
        yield work.step(
            key, Phase.CHANGE, f"{_alter(key)} DROP EXPRESSION", f"keep the values of {key}, compute no more",
            (gives, wants), **strong, **chained("expression"),
        )  # fmt: skip
    if before.identity and not after.identity:
        yield work.step(
            key, Phase.CHANGE, f"{_alter(key)} DROP IDENTITY", f"{key} is no identity any more", (gives, wants),
            gives=[*slot_of(before), *(chain := chained("identity"))["gives"]], wants=chain["wants"], **strong,
        )  # fmt: skip
    if before.not_null and not after.not_null:
        keys = [
            each for each in work.base.members(table) if each in work.drops and _is_primary(work, each, key)
        ]
        chain = chained("nullable")
        yield work.step(
            key, Phase.CHANGE, f"{_alter(key)} DROP NOT NULL", f"let {key} be NULL", **strong,
            gives=chain["gives"],
            wants=[
                *chain["wants"],
                *(gone(each) for each in keys),
                *(("chain", "nullable", each.path) for each in work.was.ancestors(key)),
            ],
        )  # fmt: skip
    if key in work.online.columns:
        last[:] = [("swapped", table)]
    elif key in work.retyped:
        chain = chained("type")
        yield from _retype(
            work, key, before, after, (gives | frozenset(chain["gives"]), wants | frozenset(chain["wants"]))
        )
    if after.not_null and not before.not_null and after.not_null_more != "NOT VALID":
        yield from _not_null(work, key, (gives, wants | frozenset(last)))
        last[:] = [("chain", "not null", key.path)]
    if after.identity and not before.identity:
        chain = chained("new identity")
        options = dict(after.identity_sequence)
        default = Key("default", key.path)
        yield work.step(
            key, Phase.FINISH, f"{_alter(key)} ADD {identity_sql(after)}", f"let {key} number itself",
            (gives, wants), gives=chain["gives"], **strong,
            wants=[*chain["wants"], gone(default), ("free", "relation", (options["schema"], options["name"]))],
        )  # fmt: skip
        sequence = dotted(options["schema"], options["name"])
        yield counting(work, key, sequence, int(options["start"]), wants=tuple(last))
    elif after.identity and before.identity:
        yield from _identity(work, key, before, after, last)
    yield from settings(work, key, before.settings, after.settings)


def slot_of(column: Column) -> list[Token]:
    """The name among the relations that an identity's sequence occupies."""
    options = dict(column.identity_sequence)
    return [("free", "relation", (options["schema"], options["name"]))]


def _is_primary(work: Work, key: Key, column: Key) -> bool:
    thing = work.base.objects[key]
    return isinstance(thing, Constraint) and thing.type == "primary" and column.path[-1] in thing.columns


def _identity(work: Work, key: Key, before: Column, after: Column, last: list[Token]) -> Iterator[Step]:
    old, new = dict(before.identity_sequence), dict(after.identity_sequence)
    strong: dict[str, Any] = {"tables": [key.parent], "lock": LockMode.ACCESS_EXCLUSIVE, "wants": last}
    if old["name"] != new["name"]:
        yield work.step(
            key, Phase.CHANGE, f"ALTER SEQUENCE {dotted(old['schema'], old['name'])} RENAME TO {quote(new['name'])}",
            f"rename the sequence of {key}", **strong,
        )  # fmt: skip
    words = [f"SET GENERATED {after.identity}"] if before.identity != after.identity else []
    words += [f"SET {word} {new[name]}" for name, word in _IDENTITY_OPTIONS if old[name] != new[name]]
    words += (
        ["SET CYCLE" if new["cycle"] == "True" else "SET NO CYCLE"] if old["cycle"] != new["cycle"] else []
    )
    if words:
        yield work.step(
            key,
            Phase.CHANGE,
            f"{_alter(key)} {' '.join(words)}",
            f"change how {key} numbers itself",
            **strong,
        )


def _retype(
    work: Work, key: Key, before: Column, after: Column, tokens: tuple[frozenset[Token], frozenset[Token]]
) -> Iterator[Step]:
    """One statement: default away, new type, new default (the old default may have no cast).

    Where tables below disagree about the default it is taken away and given in statements of their own, ONLY above.
    """
    table, name = key.parent, quote(key.path[-1])
    default_key = Key("default", key.path)
    old, new = work.base.objects.get(default_key), work.goal.objects.get(default_key)
    anew = moved(work, key) if before.type == after.type else []
    answer = work.answers.get(narrow_id(key), FAIL)
    cast = (
        named_cast(work, key, after)
        if anew
        else conversion(before.type, after.type, name, answer, told=answer)
    )
    collate = f" COLLATE {after.collation}" if after.collation else ""
    together = not work.was.heirs(key) or recurses(work.base, work.goal, work.will, default_key)
    if old and not together:
        yield work.step(
            key, Phase.CHANGE, f"{_alter(key, 'ONLY ')} DROP DEFAULT",
            f"{key.name} has no default while its type changes", wants=tokens[1],
            gives=[("chain", "no default", key.path), ("away", default_key)],
            tables=[table], lock=LockMode.ACCESS_EXCLUSIVE,
        )  # fmt: skip
    clauses = [f"ALTER COLUMN {name} DROP DEFAULT"] if old and together else []
    clauses.append(f"ALTER COLUMN {name} TYPE {after.type}{collate}" + (f" USING {cast}" if cast else ""))
    gives, wants = set(tokens[0]), {*tokens[1], *map(released, (key, *work.was.heirs(key)))}
    wants |= {("chain", "no default", key.path)}
    if isinstance(new, Default) and not together:
        anew_wants = {ready(key), *(ready(needed) for needed in work.goal.needs.get(default_key, ()))}
        yield work.step(
            key, Phase.CHANGE, f"{_alter(key, 'ONLY ')} SET DEFAULT {new.expression}",
            f"new rows get {new.expression} as {key.name}", gives=[ready(default_key)], wants=anew_wants,
            tables=[table], lock=LockMode.ACCESS_EXCLUSIVE,
        )  # fmt: skip
    elif isinstance(new, Default):
        clauses.append(f"ALTER COLUMN {name} SET DEFAULT {new.expression}")
        gives.add(ready(default_key))
        wants |= {ready(needed) for needed in work.goal.needs.get(default_key, ())}
    if old:
        gives |= {gone(default_key), *(released(each) for each in work.base.needs.get(default_key, ()))}
    for each in (key, *work.was.heirs(key)):
        gives.discard(released(each))  # its own default is part of this very statement
    wants -= gives
    hazards, probes = _retype_dangers(work, key, before, after)
    yield work.step(
        key,
        Phase.CHANGE,
        f"ALTER TABLE {table.name} " + ", ".join(clauses),
        f"change {key} from {before.type} to {after.type}"
        + (", which is made again" if anew else "")
        + (f" with collation {after.collation}" if after.collation else ""),
        (frozenset(gives), frozenset(wants)),
        tables=[table],
        lock=LockMode.ACCESS_EXCLUSIVE,
        heavy=True,
        hazards=hazards,
        probes=probes,
    )


def _retype_dangers(
    work: Work, key: Key, before: Column, after: Column
) -> tuple[tuple[Hazard, ...], tuple[Probe, ...]]:
    table = key.parent
    hazards: list[Hazard] = []
    probes: list[Probe] = []
    if types.rewrites(before.type, after.type) or (before.type == after.type and moved(work, key)):
        detail = f"{before.type} to {after.type} writes every row of {table.name} again"
        hazards.append(hazard("rewrites_table", table.name, detail))
        hazards.append(
            hazard("blocks_reads", table.name, f"queries on {table.name} wait until it is written")
        )
    if before.type == after.type and moved(work, key):
        detail = f"a value of {key.name} that is no {after.type} any more makes this fail"
        hazards.append(hazard("may_fail_on_data", key.name, detail))
        probes.extend(lost_labels(work, key))
        hazards.extend((*relabelled(work, key), *without_attributes(work, key)))
    elif (answer := work.answers.get(narrow_id(key), FAIL)) != FAIL:
        hazards.append(replaced(key, after, answer))
    elif types.may_not_fit(before.type, after.type):
        detail = f"a value of {key.name} that is no {after.type} makes this fail"
        hazards.append(hazard("may_fail_on_data", key.name, detail))
        if not any(each in work.makes | work.found.changed for each in work.goal.needs.get(key, ())):
            asked = (key.path[-1], before.type, after.type)
            probing = work.probing(table)
            probes += [probing.misfits(*asked), *probing.too_large(*asked)]
    if types.TypeName.parse(before.type).name != types.TypeName.parse(after.type).name:
        detail = f"code that expects {before.type} in {key.name} gets {after.type}"
        hazards.append(hazard("breaks_running_code", key.name, detail))
    return tuple(hazards), tuple(probes)


def replaced(key: Key, after: Column, answer: str) -> Hazard:
    """Values that do not fit are given up, as somebody answered."""
    how = {TRUNCATE: "cut", NULL: "replaced by NULL"}.get(answer, f"replaced by {answer}")
    return hazard("deletes_data", key.name, f"values of {key.name} that are no {after.type} are {how}")


def _not_null(work: Work, key: Key, tokens: tuple[frozenset[Token], frozenset[Token]]) -> Iterator[Step]:
    """Through a validated CHECK, so that the scan happens while reads and writes go on (PostgreSQL 12)."""
    table, name = key.parent, quote(key.path[-1])
    helper = quote(helper_name("not_null", key))
    fill = work.answers.get(fill_id(key), "-")
    marks: list[Token] = [("chain", f"not null {i}", key.path) for i in range(5)]
    probe = work.probing(table).nulls(key.path[-1], fill_id(key))
    danger = hazard("may_fail_on_data", key.name, f"rows of {table.name} without {name} make this fail")
    strong: dict[str, Any] = {"tables": [table], "lock": LockMode.ACCESS_EXCLUSIVE}
    if fill != "-":
        yield work.step(
            key, Phase.BUILD, f"UPDATE {table.name} SET {name} = {fill} WHERE ({name} IS NULL)",
            f"fill {key} with {fill} where it is NULL, batch by batch", tables=[table],
            lock=LockMode.ROW_EXCLUSIVE, heavy=True, wants=tokens[1], gives=[marks[0]], transactional=False,
            by_blocks=table.name,
        )  # fmt: skip
    yield work.step(
        key, Phase.CHANGE, f"ALTER TABLE {table.name} ADD CONSTRAINT {helper} CHECK ({name} IS NOT NULL) NOT VALID",
        f"refuse NULL in {key} from now on, look at existing rows later", **strong,
        wants=[*tokens[1], marks[0], ("helper", "constraint", (*table.path, helper))], gives=[marks[1]],
        probes=() if fill != "-" else (probe,), hazards=(danger,),
    )  # fmt: skip
    yield work.step(
        key, Phase.VALIDATE, f"ALTER TABLE {table.name} VALIDATE CONSTRAINT {helper}",
        f"look for NULL in {key}; reads and writes go on", tables=[table], lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        wants=[marks[1]], gives=[marks[2]], alone=True,
        hazards=(hazard("scans_table", table.name, f"{table.name} is read"),),
    )  # fmt: skip
    yield work.step(
        key, Phase.FINISH, f"{_alter(key)} SET NOT NULL",
        f"{key} must not be NULL; the check proves it, nothing is read",
        (tokens[0], tokens[1]), wants=[marks[2]], gives=[("chain", "not null", key.path)], **strong,
    )  # fmt: skip
    yield work.step(
        key, Phase.FINISH, f"ALTER TABLE {table.name} DROP CONSTRAINT {helper}",
        f"the check on {key} has done its work",
        wants=[("chain", "not null", key.path)], **strong,
    )  # fmt: skip


def _defaults(work: Work) -> Iterator[Step]:
    for key in sorted(work.makes | work.found.changed):
        column = Key("column", key.path)
        relation = key.parent
        if (
            key.kind != "default"
            or column in work.retyped
            or (
                column in work.makes
                and not _made_above(work, column)
                and not (relation in work.bare and work.is_new(relation))
            )
        ):
            continue
        if _from_above(work, key):
            continue
        thing = work.after(key, Default)
        only = "" if recurses(work.base, work.goal, work.will, key) else "ONLY "
        tokens = (
            work.changing(key) if key in work.found.changed and key not in work.rebuilt else work.making(key)
        )
        yield work.step(
            key, Phase.CHANGE, f"{_alter(key, only)} SET DEFAULT {thing.expression}",
            f"new rows get {thing.expression} as {key.name}", tokens,
            tables=[relation], lock=LockMode.ACCESS_EXCLUSIVE,
        )  # fmt: skip
        sequences = [
            each
            for each in work.goal.needs.get(key, ())
            if each.kind == "sequence" and each in work.found.added
        ]
        if sequences and column not in work.makes and not work.is_new(relation):
            yield counting(work, column, sequences[0].name, 1, wants=(ready(key),))
    for key in sorted(work.drops):
        column = Key("column", key.path)
        if key.kind == "default" and column not in work.retyped and not work.goes_along(key):
            if _from_above(work, key) and key not in work.rebuilt:
                continue
            only = "" if recurses(work.base, work.goal, work.will, key) or key in work.rebuilt else "ONLY "
            yield work.step(
                key, Phase.TAKE_DOWN if key in work.rebuilt else Phase.CHANGE, f"{_alter(key, only)} DROP DEFAULT",
                f"{key.name} has no default" + (" for a moment" if key in work.rebuilt else " any more"),
                work.dropping(key), tables=[key.parent], lock=LockMode.ACCESS_EXCLUSIVE,
            )  # fmt: skip
