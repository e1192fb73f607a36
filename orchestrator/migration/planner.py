"""The planner: two snapshots and the answers in, a plan or the open questions out. Pure: no I/O of any kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.migration.aside import stepping_aside
from orchestrator.migration.asking import Asking, fill_questions
from orchestrator.migration.at_stake import AtStake, at_stake
from orchestrator.migration.keeping import Keeping
from orchestrator.migration.online import Online, decide
from orchestrator.migration.plan import Plan
from orchestrator.migration.rebuild import rebuild
from orchestrator.migration.recipes import extensions, online_add
from orchestrator.migration.recursion import spread
from orchestrator.migration.refusals import refuse_unsupported
from orchestrator.migration.renaming import adopted_indexes, renamed_relations, today, with_renames
from orchestrator.migration.statements import unwound
from orchestrator.migration.trees import parted
from orchestrator.migration.weighing import with_scale
from orchestrator.migration.work import Work
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import alike_seen, diff
from orchestrator.schema.privileges import Compare
from orchestrator.schema.questions import Answers, Question
from orchestrator.schema.renames import Renames

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
    now, done = with_renames(base, goal, asking)
    now, old = stepping_aside(now, goal)
    now, wanted, moves = parted(now, goal, frozenset(old.moved.values()))
    now = spread(now, wanted)
    goal, whole = wanted, goal
    found, adopted = adopted_indexes(now, goal, diff(now, goal))
    found = replace(found, dropped=found.dropped - moves.kept)
    found, joins = extensions.joining(now, goal, found)
    beside = decide(now, goal, found, policy)
    again = rebuild(now, goal, found, renamed_relations(done), beside)
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
        today=today(done, old),
        online=beside,
        trees=moves,
        aside=old,
    )
    fills = {question.id: asking.ask(question) for question in fill_questions(work)}
    stakes = at_stake(work)
    fills |= {each.question.id: asking.take(each.question) for each in stakes}
    taken = {each.question.id for each in stakes}
    refuse_unsupported(work, again)
    unused = tuple(each for each in asking.unused if each not in taken)
    if asking.open:
        return Planned(plan=None, questions=asking.open, unused_answers=unused)
    work = replace(work, answers=fills)
    work = replace(work, online=replace(beside, added=online_add.decide(work, policy)))
    statements = tuple(with_scale(each, now) for each in unwound(work, done))
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
