"""Domains: create, change in place where PostgreSQL can, and ask the columns beforehand. Pure: no I/O of any kind."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard, Probe
from orchestrator.migration.recipes.named_types import left, made, taken_down
from orchestrator.migration.step import Phase, Step, Token, released
from orchestrator.migration.work import Work
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import TYPES, Key, quote
from orchestrator.schema.objects import Column, Domain
from orchestrator.schema.texts import bracketed, identifiers, with_renamed

Rule = tuple[str, str, bool, str]


def in_place(before: Domain, after: Domain) -> bool:
    """Whether ALTER DOMAIN can do it: what it stands on stays."""
    return before.base == after.base and before.collation == after.collation


def ruled_again(base: Snapshot, goal: Snapshot, key: Key, needed: Key, how: str) -> bool:
    """Whether a domain gives up its rules while a function that they call is made again.

    Not inside of other types or of arrays: there PostgreSQL cannot check a rule that comes.
    """
    before, after = base.objects[key], goal.objects[key]
    if needed.kind != "function" or how not in {"replaced", "dropped"}:
        return False
    if not (isinstance(before, Domain) and isinstance(after, Domain) and in_place(before, after)):
        return False
    columns = [thing for each in base.users.get(key, ()) if isinstance(thing := base.objects[each], Column)]
    inside = any(each.kind in TYPES for each in base.users.get(key, ()))
    return not inside and all(each.type == key.name for each in columns)


def refused(work: Work, key: Key) -> str | None:
    """What PostgreSQL cannot check in existing rows: a domain inside of another type or of an array."""
    before, after = work.before(key, Domain), work.after(key, Domain)
    if not (_validated(before, after) or (after.not_null and not before.not_null)):
        return None
    inside = [each for each in work.base.users.get(key, ()) if each.kind in TYPES]
    inside += [each for each in _columns(work, key) if work.before(each, Column).type != key.name]
    if not inside:
        return None
    return f"{key} gets a rule, but {inside[0]} has it inside of another type, which PostgreSQL cannot check"


def steps(work: Work) -> Iterator[Step]:
    """Steps for every domain that differs."""
    for key in sorted(work.makes):
        if key.kind == "domain":
            thing = work.after(key, Domain)
            words = [f"CREATE DOMAIN {key.name} AS {thing.base}"]
            words += [f"COLLATE {thing.collation}"] if thing.collation else []
            words += [f"DEFAULT {thing.default}"] if thing.default is not None else []
            words += ["NOT NULL"] if thing.not_null else []
            words += [f"CONSTRAINT {quote(name)} {text}" for name, text, valid, _ in thing.rules if valid]
            yield from taken_down(work, key, "DOMAIN")
            yield from made(work, key, " ".join(words))
            for rule in thing.rules:
                if not rule[2]:
                    yield _added(work, key, rule, (frozenset(), frozenset({("ready", key)})))
    for key in sorted((work.found.changed | work.reruled) - work.rebuilt):
        if key.kind == "domain":
            yield from _changed(work, key, work.before(key, Domain), work.after(key, Domain))
    for key in sorted(work.drops):
        if key.kind == "domain":
            yield from left(work, key, "DOMAIN")


def _columns(work: Work, key: Key) -> list[Key]:
    return [each for each in work.columns_on(key) if Key("table", each.path[:2]) in work.goal.objects]


def _validated(before: Domain, after: Domain) -> list[Rule]:
    """Rules that existing values must newly keep."""
    kept = {(name, text) for name, text, valid, _ in before.rules if valid}
    return [rule for rule in after.rules if rule[2] and rule[:2] not in kept]


def _changed(work: Work, key: Key, before: Domain, after: Domain) -> Iterator[Step]:
    tokens = work.changing(key)
    alter = f"ALTER DOMAIN {key.name}"
    calls = _calls(work, key)
    away: list[Token] = [("away", key), *(released(each) for each in calls)] if calls else []
    if before.default is not None and after.default is not None and _names(before.default, calls):
        yield work.step(
            key, Phase.TAKE_DOWN, f"{alter} DROP DEFAULT", f"{key} has no default for a moment", gives=away
        )
        before = replace(before, default=None)
    if before.default != after.default:
        change = "DROP DEFAULT" if after.default is None else f"SET DEFAULT {after.default}"
        yield work.step(key, Phase.CHANGE, f"{alter} {change}", f"change the default of {key}", tokens)
    if before.not_null and not after.not_null:
        yield work.step(key, Phase.CHANGE, f"{alter} DROP NOT NULL", f"let {key} be NULL", tokens)
    elif after.not_null and not before.not_null:
        probes = tuple(
            work.probing(each.parent).where(
                f"{work.probing(each.parent).column(each.path[-1])} IS NULL",
                kind="null",
                subject=each.name,
                problem=f"{{count}} rows of {each.parent.name} have no {quote(each.path[-1])}",
                remedy="give these rows a value",
            )
            for each in _columns(work, key)
        )
        yield work.step(
            key, Phase.FINISH, f"{alter} SET NOT NULL", f"{key} must not be NULL", tokens,
            probes=probes, **_reading(work, key, f"NULL in a column of {key}"),
        )  # fmt: skip
    old, new = {rule[0]: rule for rule in before.rules}, {rule[0]: rule for rule in after.rules}
    for name in sorted(old):
        there = new.get(name)
        again = _names(old[name][1], calls)
        if again or there is None or there[1] != old[name][1] or (old[name][2] and not there[2]):
            free: Token = ("free", "rule", (*key.path, name))
            yield work.step(
                key, Phase.TAKE_DOWN if again else Phase.CHANGE, f"{alter} DROP CONSTRAINT {quote(name)}",
                f"drop the rule {name} of {key}" + (": a function that it calls is made again" if again else ""),
                tokens if there is None and not again else (frozenset(), frozenset()),
                gives=[free, *(away if again else ())],
            )  # fmt: skip
            old.pop(name)
    for name, rule in sorted(new.items()):
        there = old.get(name)
        if there is None:
            yield _added(work, key, rule, tokens)
        if rule[2] and (there is None or not there[2]):
            yield _validate(work, key, rule, known=there is not None)


def _calls(work: Work, key: Key) -> list[Key]:
    """Functions that the domain calls and that are made again."""
    needed = work.base.needs.get(key, ()) if key in work.reruled else ()
    return [each for each in needed if each.kind == "function" and each in work.drops]


def _names(text: str, calls: list[Key]) -> bool:
    return any(each.path[1].partition("(")[0] in identifiers(text) for each in calls)


def _added(work: Work, key: Key, rule: Rule, tokens: tuple[frozenset[Token], frozenset[Token]]) -> Step:
    later = "; existing rows are checked later" if rule[2] else ""
    return work.step(
        key, Phase.ATTACH, f"ALTER DOMAIN {key.name} ADD CONSTRAINT {quote(rule[0])} {rule[1]} NOT VALID",
        f"add the rule {rule[0]} to {key}{later}", tokens,
        gives=[("added", "rule", (*key.path, rule[0]))], wants=[("free", "rule", (*key.path, rule[0]))],
    )  # fmt: skip


def _validate(work: Work, key: Key, rule: Rule, *, known: bool) -> Step:
    return work.step(
        key, Phase.VALIDATE, f"ALTER DOMAIN {key.name} VALIDATE CONSTRAINT {quote(rule[0])}",
        f"check existing values against the rule {rule[0]} of {key}",
        wants=[("added", "rule", (*key.path, rule[0]))], alone=True,
        probes=() if not known and _new_names(work, key) else tuple(_probes(work, key, rule)),
        **_reading(work, key, f"a value that breaks {quote(rule[0])}"),
    )  # fmt: skip


def _new_names(work: Work, key: Key) -> bool:
    """Whether a rule may name what is not there before the plan."""
    needed = work.goal.needs.get(key, ())
    return any(each in work.makes or each in work.found.changed for each in needed if each.kind == "function")


def _probes(work: Work, key: Key, rule: Rule) -> Iterator[Probe]:
    """Values that break the rule, column by column."""
    expression = bracketed(rule[1].removeprefix("CHECK "))[0]
    for each in _columns(work, key):
        probing = work.probing(each.parent)
        condition = with_renamed(expression, {"VALUE": probing.column(each.path[-1])})
        shown = "" if "{" in expression else f": {expression}"
        yield probing.where(
            f"NOT {condition}",
            kind="check",
            subject=each.name,
            problem=f"{{count}} rows of {probing.name} break {quote(rule[0])} of {key}{shown}",
            remedy="correct these rows, or leave the rule NOT VALID on the goal",
        )


def _reading(work: Work, key: Key, danger: str) -> dict[str, Any]:
    """Lock and hazards of what reads all tables with such columns: SHARE, which writers wait for."""
    tables = sorted({each.parent for each in _columns(work, key)})
    hazards: list[Hazard] = (
        [hazard("may_fail_on_data", key.name, f"{danger} makes this fail")] if tables else []
    )
    for table in tables:
        hazards.append(hazard("scans_table", table.name, f"{table.name} is read"))
        hazards.append(hazard("blocks_writes", table.name, f"writes to {table.name} wait until it is read"))
    return {"tables": tables, "lock": LockMode.SHARE, "heavy": True, "hazards": tuple(hazards)}
