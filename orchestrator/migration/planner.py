"""The planner: two snapshots and the answers in, a plan or the open questions out. Pure: no I/O of any kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.errors import DependencyCycle, UnsupportedObject
from orchestrator.migration.aside import Aside, stepping_aside
from orchestrator.migration.aside import refused as refused_anew
from orchestrator.migration.asking import Asking, fill_questions
from orchestrator.migration.at_stake import AtStake, at_stake
from orchestrator.migration.keeping import Keeping
from orchestrator.migration.late import bound, renames_late
from orchestrator.migration.online import Online, decide
from orchestrator.migration.order import grouped, in_order
from orchestrator.migration.phases import marked
from orchestrator.migration.plan import Plan, Statement
from orchestrator.migration.probes import Today
from orchestrator.migration.rebuild import Rebuild, rebuild
from orchestrator.migration.recipes import (
    aside,
    column_changes,
    columns,
    comments,
    composites,
    constraints,
    domains,
    extensions,
    functions,
    indexes,
    kept,
    leftovers,
    matviews,
    not_nulls,
    online,
    online_add,
    partitions,
    privileges,
    ranges,
    renames,
    schemas,
    sequences,
    stated,
    tables,
    views,
)
from orchestrator.migration.recursion import spread
from orchestrator.migration.step import RENAMED, Phase, Step
from orchestrator.migration.trees import parted
from orchestrator.migration.weighing import with_scale
from orchestrator.migration.work import Work
from orchestrator.schema import candidates
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import Differences, alike_seen, diff
from orchestrator.schema.moves import moved
from orchestrator.schema.names import TYPES, Key
from orchestrator.schema.objects import Constraint, Enum, Extension, Index, Other
from orchestrator.schema.privileges import Compare
from orchestrator.schema.questions import Answers, Question
from orchestrator.schema.renames import Renames, renamed
from orchestrator.schema.trees import Tree
from orchestrator.schema.type_renames import type_renames

_RECIPES = (
    schemas,
    extensions,
    domains,
    composites,
    ranges,
    sequences,
    tables,
    columns,
    kept,
    column_changes,
    not_nulls,
    online,
    constraints,
    indexes,
    partitions,
    aside,
    views,
    matviews,
    functions,
    stated,
    comments,
    privileges,
)

#: Said in every plan that changes something: what nobody looked at must not look equal.
NOT_COMPARED = {
    Compare.IGNORE: (
        "owners, grants, default privileges and tablespaces are not compared; what is made again gets back"
        " the owner and grants it had"
    ),
    Compare.ADD: (
        "owners, what only main grants, grants on the database and on what belongs to extensions, and tablespaces of"
        " indexes are not compared"
    ),
    Compare.ALL: (
        "grants on the database, on what belongs to extensions and, but for superusers, on PostgreSQL's own objects,"
        " who granted, default privileges of roles that this one is no member of, and tablespaces are not compared"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What planning came to.

    Attributes:
        plan: the plan; None while a question without an answer is open.
        questions: the open questions; with a plan, all that were asked (and answered). Sorted by id.
        unused_answers: ids of answers that no question of this plan asked for.
        at_stake: questions to put when their probes find rows and nobody has answered them.
        proved: answers that nobody gave because physical identity speaks for them, by question.
        renames: what is renamed, by answer or because it is certain.
    """

    plan: Plan | None
    questions: tuple[Question, ...] = ()
    unused_answers: tuple[str, ...] = ()
    at_stake: tuple[AtStake, ...] = ()
    proved: Mapping[str, str] = field(default_factory=dict)
    renames: Renames = field(default_factory=Renames)


def make_plan(
    base: Snapshot,
    goal: Snapshot,
    *,
    answers: Answers | None = None,
    assume_defaults: bool = False,
    policy: Online = Online(),  # noqa: B008 - a frozen value
    trust_proofs: bool = False,
    compare: Compare = Compare.IGNORE,
    keeping: Keeping = Keeping(),  # noqa: B008 - a frozen value
) -> Planned:
    """Work out how to get from one snapshot to another.

    Args:
        base: main's snapshot.
        goal: the goal's. Where one of them is not whole the plan has no fingerprints, and no meaningful digest.
        answers: question id to answer.
        assume_defaults: answer every open question with its default: not a rename, no invented value.
        policy: which tables are written again beside the traffic.
        trust_proofs: take a rename that physical identity speaks for without asking.
        compare: how much of the goal's owners and grants counts.
        keeping: whether what is dropped is kept aside for a while.

    Raises:
        UnsupportedObject: objects of kinds that are not planned differ; all are named.
        DependencyCycle: objects stand on each other in a way that cannot be broken.
        UsageError: an answer is none of the question's choices.
    """
    base, goal = alike_seen(base, goal)
    asking = Asking(answers or {}, assume_defaults=assume_defaults, trust_proofs=trust_proofs)
    now, done = _with_renames(base, goal, asking)
    now, old = stepping_aside(now, goal)
    now, wanted, moves = parted(now, goal, frozenset(old.moved.values()))
    now = spread(now, wanted)
    goal, whole = wanted, goal
    found, adopted = _adopted(now, goal, diff(now, goal))
    found = replace(found, dropped=found.dropped - moves.kept)
    found, joins = extensions.joining(now, goal, found)
    beside = decide(now, goal, found, policy)
    again = rebuild(now, goal, found, _renamed_relations(done), beside)
    work = Work(
        base=now,
        goal=goal,
        found=found,
        rebuilt=frozenset(again.rebuilt),
        hard=frozenset(again.hard),
        retyped=frozenset(again.retyped),
        reruled=frozenset(again.reruled),
        adopted=adopted,
        joins=joins,
        privileges=compare,
        keeping=keeping,
        today=_today(done, old),
        online=beside,
        trees=moves,
        aside=old,
    )
    fills = {question.id: asking.ask(question) for question in fill_questions(work)}
    stakes = at_stake(work)
    fills |= {each.question.id: asking.take(each.question) for each in stakes}
    taken = {each.question.id for each in stakes}
    _refuse_unsupported(work, again)
    unused = tuple(each for each in asking.unused if each not in taken)
    if asking.open:
        return Planned(plan=None, questions=asking.open, unused_answers=unused)
    work = replace(work, answers=fills)
    work = replace(work, online=replace(beside, added=online_add.decide(work, policy)))
    statements = tuple(with_scale(each, now) for each in _unwound(work, done))
    notes = (
        *beside.notes,
        *_column_order(now, goal),
        *_uncompared(base, goal),
        *((NOT_COMPARED[compare],) if statements else ()),
    )
    # Where only differences were read there is nothing to bind an approval to: such a plan is for printing.
    start, end = (each.fingerprint() if each.whole else "" for each in (base, whole))
    plan = Plan(base=start, goal=end, statements=statements, notes=notes, online=work.online.names)
    return Planned(
        plan=plan,
        questions=asking.asked,
        unused_answers=unused,
        at_stake=stakes,
        proved=asking.taken,
        renames=done,
    )


def _with_renames(base: Snapshot, goal: Snapshot, asking: Asking) -> tuple[Snapshot, Renames]:
    """The base with every rename done that was answered with yes, or that is certain; tables come first."""
    base, types = type_renames(base, goal)
    done = Renames(keys=types)
    between = _remembering()
    for kind, questions in (("table", candidates.table_questions), ("column", candidates.column_questions)):
        keys: dict[Key, Key] = {}
        for question, old in asking.rename(questions(base, goal, between(base, goal))):
            new = next(key for key in goal.of_kind(kind) if candidates.question_id(key) == question.id)
            was = next(key for key in base.of_kind(kind) if candidates.named(key, new) == old)
            keys[was] = new
            for heir in Tree(goal).heirs(new) if kind == "column" else ():
                before = Key(kind, (*heir.path[:-1], old))
                keys |= {before: heir} if before in base.objects and heir not in base.objects else {}
        step = Renames(keys=keys)
        base, done = renamed(base, step), done | step
    labels: dict[tuple[tuple[str, ...], str], str] = {}
    found = between(base, goal)
    for question, old in asking.rename(candidates.label_questions(base, goal, found)):
        key, label = next(
            (key, label)
            for key in goal.of_kind("enum")
            for thing in [goal.objects[key]]
            if isinstance(thing, Enum)
            for label in thing.labels
            if f"rename:label:{key.name}.{label}" == question.id
        )
        labels[key.path, old] = label
    step = Renames(labels=labels)
    base, done = moved(renamed(base, step), goal), done | step
    for _ in range(2):  # sequences first: a default that names one makes no difference afterwards
        step = candidates.certain(base, goal, between(base, goal))
        base, done = renamed(base, step), done | step
    step = candidates.taken_by_joining(base, goal, between(base, goal))
    return renamed(base, step), done | step


def _remembering() -> Callable[[Snapshot, Snapshot], Differences]:
    """diff(), which is not asked again about the same two values: of 100,000 objects it takes half a second."""
    last: list[tuple[Snapshot, Snapshot, Differences]] = []

    def between(base: Snapshot, goal: Snapshot) -> Differences:
        if not last or last[0][0] is not base or last[0][1] is not goal:
            last[:] = [(base, goal, diff(base, goal))]
        return last[0][2]

    return between


def _today(done: Renames, old: Aside) -> Today:
    """The names before the renames, and before tables step aside."""
    tables = {new.path: old.path for old, new in done.keys.items() if new.kind == "table"}
    columns = {new.path: old.path[-1] for old, new in done.keys.items() if new.kind == "column"}
    for key, place in old.moved.items():
        tables[place.path] = tables.get(key.path, key.path)
        columns |= {
            (*place.path, path[-1]): name for path, name in list(columns.items()) if path[:2] == key.path
        }
    return Today(tables=tables, columns=columns)


def _renamed_relations(done: Renames) -> tuple[Key, ...]:
    """Tables and columns that have a new name: views keep the old one until they are made again."""
    return tuple(sorted(new for new in done.keys.values() if new.kind in {"table", "column"}))


def _adopted(base: Snapshot, goal: Snapshot, found: Differences) -> tuple[Differences, Mapping[Key, Key]]:
    """Indexes that are dropped while a constraint of that name over the same columns comes: it takes them over."""
    adopted: dict[Key, Key] = {}
    tree = Tree(base)
    for key in sorted(found.added):
        thing = goal.objects[key]
        index_key = Key("index", (key.path[0], key.path[-1]))
        index = base.objects.get(index_key)
        if (
            not isinstance(thing, Constraint)
            or not isinstance(index, Index)
            or index_key not in found.dropped
        ):
            continue
        parts = constraints.index_parts(thing)
        if index.part_of or tree.is_partitioned(key.parent):
            continue  # PostgreSQL does not let a key take over an index of a partitioned table
        fits = parts is not None and index.unique and index.valid and index.definition == parts[1]
        if fits and index.table == key.path[:2]:
            adopted[key] = index_key
    return replace(found, dropped=found.dropped - set(adopted.values())), adopted


def _refuse_unsupported(work: Work, again: Rebuild) -> None:
    """Name everything that differs and cannot be planned; nothing is ever skipped in silence."""
    said: list[str] = []
    created = [key for key in sorted(work.found.added) if isinstance(work.goal.objects[key], Other)]
    said += [f"{key} is to be created" for key in created]
    for key in sorted(work.found.dropped):
        thing = work.base.objects[key]
        if isinstance(thing, Other) and not (thing.of is not None and thing.of in work.found.dropped):
            said.append(f"{key} is to be dropped")
    for key in sorted(work.found.changed):
        before, after = work.base.objects[key], work.goal.objects[key]
        if isinstance(before, Other) or type(before) is not type(after):
            said.append(f"{key} differs")
        elif key.kind == "domain" and key not in again.rebuilt:
            said += [refusal] if (refusal := domains.refused(work, key)) else []
        elif isinstance(after, Extension):
            said += extensions.refused(work, key)
    said += indexes.refused(work)
    said += stated.stuck(work)
    said += [each for key in sorted(again.rebuilt) if (each := composites.refused(work, key))]
    said += [each for key in sorted(again.rebuilt) if (each := ranges.refused(work, key))]
    said += [each for key in sorted(work.makes | work.found.changed) if (each := stated.refused(work, key))]
    said += [
        *partitions.refused(work),
        *not_nulls.refused(work),
        *refused_anew(work.base, work.goal, work.aside),
    ]
    said += again.refused
    said += privileges.refused(work)
    _refuse([aside.told(work, each) for each in said])


def _refuse(said: list[str]) -> None:
    if said:
        raise UnsupportedObject(
            "this version cannot plan: " + "; ".join(said),
            hint="make this change on main by hand, or take it out of the goal, and plan again",
        )


def _unwound(work: Work, done: Renames) -> tuple[Statement, ...]:
    """The statements; a table that names what names the table is made bare, then the rest of it."""
    while True:
        try:
            return _statements(work, done)
        except DependencyCycle as circle:
            tables = {Key("table", path) for path in circle.tables}
            if tables <= work.bare:
                raise
            work = replace(work, bare=work.bare | tables)


def _statements(work: Work, done: Renames) -> tuple[Statement, ...]:
    steps: list[Step] = [*leftovers.steps(work), *renames.steps(work, done)]
    barrier = RENAMED
    rename_steps = {i for i, step in enumerate(steps) if step.phase is Phase.RENAME}
    waited = {token for i in rename_steps for token in steps[i].wants}
    for i in rename_steps:
        steps[i] = replace(steps[i], gives=steps[i].gives | {barrier})
    early = {aside.leaving, partitions.leaving}
    for recipe in (aside.leaving, partitions.leaving, *(each.steps for each in _RECIPES)):
        late = {barrier} if recipe in early else {barrier, partitions.LEFT}
        steps += [
            step if step.gives & waited else replace(step, wants=step.wants | late) for step in recipe(work)
        ]
    steps = [aside.in_place(work, step) for step in steps]
    ordered = in_order(steps)
    if found := aside.torn(ordered):
        try:
            ordered = in_order(aside.earlier(steps, found))
        except DependencyCycle:
            _refuse(aside.refusal(work, found))
        _refuse(aside.refusal(work, aside.torn(ordered)))
    together = _together(work, ordered)
    if not bound(ordered, together):
        ordered = renames_late(ordered)
        together = _together(work, ordered)
    return marked(ordered, grouped(ordered, [(min(at), max(at)) for at in together]), together)


def _together(work: Work, ordered: list[Step]) -> list[list[int]]:
    """What must be seen at once, by its places: the drop of each rebuilt object and its making, and the like."""
    made: dict[Key, list[int]] = {}
    left: dict[Key, list[int]] = {}
    given: dict[Key, list[int]] = {}
    for i, step in enumerate(ordered):
        if step.statement.sql.startswith(("GRANT ", "REVOKE ")) or ("owner", step.key) in step.gives:
            given.setdefault(step.key, []).append(i)
        for kind, key, *_ in step.gives:
            if isinstance(key, Key):
                {"ready": made, "gone": left, "away": left}.get(kind, {}).setdefault(key, []).append(i)
    renamed_at = [i for i, step in enumerate(ordered) if step.phase is Phase.RENAME]
    found: list[list[int]] = []
    for key in work.rebuilt:
        if key in left and key in made:
            first = [*left[key], *renamed_at] if key.kind == "view" else left[key]
            # A type that stepped aside goes after its new form is there.
            last = [*made[key], *left[key]] if key.kind in TYPES else made[key]
            found.append([*first, *last])
    found += [left[key] for key in work.exchanged if key in left]
    # A rule or default that goes for a moment is back before anybody can write without it.
    short = {*work.reruled, *(Key("default", key.path) for key in work.retyped)}
    found += [[*left[key], *made[key]] for key in short & left.keys() & made.keys()]
    found += [list(range(first, last + 1)) for first, last in aside.span(ordered)]
    found += kept.together(ordered)
    for table in work.online.retyped:
        # Nobody may see a column without its old form and without its new one.
        swap = [
            i for i, step in enumerate(ordered) if step.gives & {("swap begins", table), ("swapped", table)}
        ]
        found.append(swap)
    found += [[*made[key], *given[key]] for key in work.makes & made.keys() & given.keys()]
    again = {key for key in work.rebuilt if key.kind == "materialized view"}
    for table in work.found.added | again:
        # What belongs to a new table comes with it, so that nobody ever has to add it beside traffic.
        if table.kind in {"table", "materialized view"}:
            indexes_too = (key for key in work.goal.members(table) if key.kind == "index")
            if work.will.is_partitioned(table):
                continue
            at = [i for key in (table, *indexes_too) for i in made.get(key, ())]
            found.append(at)
    return found


def _uncompared(base: Snapshot, goal: Snapshot) -> tuple[str, ...]:
    """What is in one of the databases and outside of the comparison, with what there is on either side."""
    before, after = dict(base.uncompared), dict(goal.uncompared)
    return tuple(
        f"not compared: {what}; main has {before.get(what, 'none')}, the goal has {after.get(what, 'none')}"
        for what in sorted(before.keys() | after.keys())
    )


def _column_order(base: Snapshot, goal: Snapshot) -> tuple[str, ...]:
    """One note when tables in both have the same columns in another order."""
    moved = []
    for key in base.of_kind("table"):
        if key not in goal.objects:
            continue
        before = [column.key for column in base.columns_of(key)]
        after = [column.key for column in goal.columns_of(key)]
        stay = set(before) & set(after)
        if [each for each in before if each in stay] != [each for each in after if each in stay]:
            moved.append(key.name)
    if not moved:
        return ()
    return (
        f"columns stand in another order in {', '.join(moved)}; PostgreSQL cannot change that, and nothing needs it",
    )
