"""Tables made anew with their rows: the old one steps aside, the new one takes the rows, the old one goes. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from orchestrator.migration import types
from orchestrator.migration.aside import copied
from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.narrowing import FAIL, conversion
from orchestrator.migration.plan import Hazard
from orchestrator.migration.step import Phase, Step, Token, gone, ready
from orchestrator.migration.work import Work, slots_of
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Column, Constraint, Sequence

#: Kinds that are named by the types they take.
_BY_TYPES = frozenset({"function", "aggregate", "operator", "cast"})

#: Given when every old table is out of the way.
STEPPED: Token = ("all", "stepped aside", ())
#: Given when the rows of every old table are in the new one.
COPIED: Token = ("all", "copied", ())


def leaving(work: Work) -> Iterator[Step]:
    """Steps that move the old tables out of the way; whatever speaks of them there comes after."""
    aside = work.aside
    for schema in aside.schemas:
        yield work.step(
            Key("schema", (schema,)), Phase.TAKE_DOWN, f"CREATE SCHEMA {quote(schema)}",
            "make room for tables that step aside in this transaction", gives=[("aside", "schema", (schema,))],
        )  # fmt: skip
    for key in aside.owned:
        yield work.step(
            key, Phase.TAKE_DOWN, f"ALTER SEQUENCE {key.name} OWNED BY NONE",
            f"{key} stays when its table steps aside", gives=[("aside", "owned", key.path)],
        )  # fmt: skip
    for key, place in sorted(aside.moved.items()):
        made = work.step(
            key, Phase.TAKE_DOWN, f"ALTER TABLE {key.name} SET SCHEMA {quote(place.path[0])}",
            f"{key} steps aside: what it is partitioned by cannot be changed in place", tables=[place],
            lock=LockMode.ACCESS_EXCLUSIVE, gives=[STEPPED, *_names(work, key, place)],
            wants=[
                ("aside", "schema", place.path[:1]),
                *(("aside", "owned", each.path) for each in aside.owned),
            ],
        )  # fmt: skip
        yield replace(made, statement=replace(made.statement, lock_on=(work.today.table(place.path),)))


def _names(work: Work, key: Key, place: Key) -> Iterable[Token]:
    """The names that are free once a table is in another schema."""
    found: set[Token] = set()
    for each in (place, *work.base.members(place), *work.owned.get(place.path, ())):
        there = (key.path[0], *each.path[1:])
        found |= _at_home(slots_of(work.base, each), place.path[0], key.path[0])
        found.add(("free", each.kind, there))
    return found


def _at_home(tokens: Iterable[Token], place: str, home: str) -> set[Token]:
    """The same tokens, of names in the schema where the table was."""
    return {
        (token[0], token[1], (home, *token[2][1:]))
        for token in tokens
        if len(token) == 3 and token[2][:1] == (place,)
    }


def steps(work: Work) -> Iterator[Step]:
    """Steps that copy the rows and remove the room."""
    for key in work.aside.roots:
        yield from _copy(work, key, work.aside.moved[key])
    for schema in work.aside.schemas:
        old = [each for each in work.aside.moved.values() if each.path[0] == schema]
        yield work.step(
            Key("schema", (schema,)), Phase.ATTACH, f"DROP SCHEMA {quote(schema)}", "nothing is left in there",
            wants=[COPIED, *map(gone, old)], gives=[("aside", "over", (schema,))],
        )  # fmt: skip


def _copy(work: Work, key: Key, place: Key) -> Iterator[Step]:
    pairs = copied(work.base, work.goal, key, place)
    values = []
    for before, after in pairs:
        name = quote(before.key.path[-1])
        plain = None if before.type == after.type else conversion(before.type, after.type, name, FAIL)
        values.append(plain or (name if before.type == after.type else f"{name}::{after.type}"))
    names = ", ".join(quote(after.key.path[-1]) for _, after in pairs)
    given = "OVERRIDING SYSTEM VALUE " if any(after.identity for _, after in pairs) else ""
    only = "" if work.was.is_partitioned(place) else "ONLY "
    tree = _tree(work, key)
    wants: set[Token] = {STEPPED, *map(ready, tree)}
    wants |= {("joined", each) for each in tree if each != key}
    wants |= {
        ready(each)
        for table in tree
        for each in work.goal.members(table)
        if each.kind in {"column", "default"}
    }
    if pairs:
        yield work.step(
            key, Phase.ATTACH,
            f"INSERT INTO {key.name} ({names}) {given}SELECT {', '.join(values)} FROM {only}{place.name}",
            f"{key} takes the rows", tables=[place], lock=LockMode.ACCESS_EXCLUSIVE, heavy=True, wants=wants,
            gives=[COPIED], hazards=tuple(_hazards(work, key, place, pairs)),
        )  # fmt: skip
    for before, after in pairs:
        if after.identity:
            yield _counting(work, before, after)
    for sequence in work.found.added:
        thing = work.goal.objects[sequence]
        if isinstance(thing, Sequence) and thing.owned_by[:2] == key.path:
            yield _largest(Key("column", thing.owned_by), work, sequence.name, thing.start)


def _tree(work: Work, root: Key) -> list[Key]:
    """A table and all that is below it in the end, also what joins on the way."""
    found = [root]
    for key in found:
        joins = (Key("table", edge.child) for edge in work.trees.joining if edge.parent == key.path)
        found += [each for each in (*work.will.children(key), *joins) if each not in found]
    return found


def _hazards(work: Work, key: Key, place: Key, pairs: list[tuple[Column, Column]]) -> Iterator[Hazard]:
    lost = {each.key for each in work.base.columns_of(place)} - {before.key for before, _ in pairs}
    for column in sorted(lost):
        was = Key("column", (*key.path, column.path[-1]))
        if was not in work.goal.objects:
            yield hazard("deletes_data", was.name, f"the values of {was.name} are gone")
            yield hazard(
                "breaks_running_code", was.name, f"code that still names {was.name} fails from here on"
            )
    for each in work.base.hidden:
        if each.column and each.table == place.path:
            on = f"{key.name}.{each.name}"
            yield hazard(
                "deletes_data", on, f"the values of {on}, which an earlier promotion set aside, are gone"
            )
    tables = [place, *work.was.below(place)]
    if not any(work.has_rows(each) for each in tables if not work.was.is_partitioned(each)):
        return
    yield hazard("rewrites_table", key.name, f"every row of {key.name} is written again")
    yield hazard("blocks_reads", key.name, f"queries on {key.name} wait until its rows are copied")
    if work.will.is_partitioned(key):
        yield hazard(
            "may_fail_on_data", key.name, f"a row of {key.name} that fits no partition makes this fail"
        )
    for before, after in pairs:
        if before.type != after.type and types.may_not_fit(before.type, after.type):
            detail = f"a value of {after.key.name} that is no {after.type} makes this fail"
            yield hazard("may_fail_on_data", after.key.name, detail)


def _counting(work: Work, before: Column, after: Column) -> Step:
    """The identity goes on where the old one stopped."""
    options = dict(after.identity_sequence)
    sequence = dotted(options["schema"], options["name"])
    if not before.identity:
        return _largest(after.key, work, sequence, int(options["start"]))
    old = dotted(before.key.path[0], dict(before.identity_sequence)["name"])
    return work.step(
        after.key, Phase.ATTACH,
        f"SELECT pg_catalog.setval({literal(sequence).strip()}, last_value, is_called) FROM {old}",
        f"the numbers of {after.key} go on where they stopped", wants=[STEPPED, ready(after.key)], gives=[COPIED],
    )  # fmt: skip


def _largest(column: Key, work: Work, sequence: str, start: int) -> Step:
    """Numbers that nobody counted before go on after the largest one."""
    name = quote(column.path[-1])
    return work.step(
        column, Phase.ATTACH,
        f"SELECT pg_catalog.setval({literal(sequence).strip()}, greatest(max({name}) + 1, {start}), false)"
        f" FROM {column.parent.name} HAVING max({name}) IS NOT NULL",
        f"let the numbers of {column} go on after the largest one that is there",
        wants=[COPIED, ready(column)], gives=[("aside", "counts", column.path)],
    )  # fmt: skip


def in_place(work: Work, step: Step) -> Step:
    """A step of another recipe, with its place before or after the moves here."""
    aside = work.aside
    if not aside.moved:
        return step
    wants = set(step.wants)
    if step.phase is Phase.RENAME and Key("table", step.key.path[:2]) in aside.moved:
        # What is renamed steps aside afterwards, so it cannot wait for the name that this sets free.
        wants = {token for token in wants if token[0] != "free"}
    if STEPPED not in step.gives and any(f"{quote(each)}." in step.statement.sql for each in aside.schemas):
        wants.add(STEPPED)
    if step.gives & {gone(each) for each in aside.emptied} and COPIED not in step.gives:
        wants.add(COPIED)
    for root in aside.roots:
        # PostgreSQL 18 names a NOT NULL after what is free: the partitions' ones have the name of the one above.
        made = {ready(each) for each in _tree(work, root) if each != root and work.is_new(each)}
        if made & step.gives and step.statement.sql.startswith("CREATE "):
            wants.add(ready(root))
        if ready(root) in step.gives:
            wants.add(STEPPED)
    if _after_rows(work, step):
        wants.add(COPIED)
    sql = _signature(work, step)
    if sql != step.statement.sql:
        wants.add(STEPPED)
    said = replace(
        step.statement,
        sql=sql,
        why=told(work, step.statement.why),
        hazards=tuple(
            replace(each, on=told(work, each.on), detail=told(work, each.detail))
            for each in step.statement.hazards
        ),
    )
    return replace(step, statement=said, wants=frozenset(wants))


def _signature(work: Work, step: Step) -> str:
    """A statement that drops what is named by its argument types: the row type has stepped aside, too."""
    head, bracket, rest = step.statement.sql.partition("(")
    for kind, key, *_ in step.gives:
        if kind != "gone" or not isinstance(key, Key) or key.kind not in _BY_TYPES:
            continue
        for table, place in work.aside.moved.items():
            if place in work.base.needs.get(key, ()):
                rest = re.sub(rf'(?<![\w."]){re.escape(table.name)}(?![\w"])', place.name, rest)
    return head + bracket + rest


def told(work: Work, text: str) -> str:
    """What is said to a person names tables by what they are called before and after."""
    for key, place in work.aside.moved.items():
        home, there = f"{quote(key.path[0])}.", f"{quote(place.path[0])}."
        text = text.replace(there, home)
    return text


def _after_rows(work: Work, step: Step) -> bool:
    """Whether a step must not come before the rows are in: what would fire for them, hide them or refuse them."""
    thing = work.goal.objects.get(step.key)
    tables = {each for root in work.aside.roots for each in _tree(work, root)}
    if isinstance(thing, Constraint) and thing.type == "foreign":
        there = Key("table", thing.references)
        return ready(step.key) in step.gives and bool({step.key.parent, there} & tables)
    if step.key.kind in {"trigger", "rule", "policy"} and step.key in work.makes:
        return Key("table", step.key.path[:2]) in tables
    return step.key in tables and "ROW LEVEL SECURITY" in step.statement.sql


def span(ordered: list[Step]) -> list[tuple[int, int]]:
    """From the first table that steps aside to the last that is gone: one transaction."""
    mine = [
        i
        for i, step in enumerate(ordered)
        if {STEPPED, COPIED} & step.gives or any(token[:1] == ("aside",) for token in step.gives)
    ]
    return [(min(mine), max(mine))] if mine else []


def torn(ordered: list[Step]) -> list[Step]:
    """What cannot be inside of that transaction but is: what must be committed, or built beside the traffic."""
    return [
        each
        for first, last in span(ordered)
        for each in ordered[first : last + 1]
        if not each.statement.transactional or each.commits
    ]


def earlier(steps: list[Step], found: list[Step]) -> list[Step]:
    """The same steps, with these before the first table steps aside."""
    done = {token for each in found for token in each.gives}
    return [
        replace(step, wants=step.wants | done) if _opens(step) and step not in found else step
        for step in steps
    ]


def _opens(step: Step) -> bool:
    """Whether this is one of the steps that the transaction begins with."""
    return bool(
        STEPPED in step.gives or {("aside", "schema"), ("aside", "owned")} & {x[:2] for x in step.gives}
    )


def refusal(work: Work, found: list[Step]) -> list[str]:
    """Sentences about what can be neither before nor inside."""
    return [
        f"{each.key} must be committed or built while {work.aside.roots[0]} is made anew (plan it apart)"
        for each in found
    ]
