"""Locks: what each statement declared against what it really took, and the pause to expect. Values only, no I/O."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.checks.looking import not_looked_at
from orchestrator.checks.names import parts_of
from orchestrator.checks.report import Finding, Severity
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Plan, Statement

CHECK = "locks"

#: A pause of this many milliseconds at once is worth a person's attention.
LONG_PAUSE_MS = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """How long readers or writers of existing tables must wait, as measured on the branch.

    Attributes:
        total_ms: over the whole plan, milliseconds.
        longest_ms: the longest at once, milliseconds; a transaction holds its locks until it commits.
        longest_at: number (from 1) of the statement that begins the longest; 0 when nothing waits.
        blocks: what waits during the longest: ``writes`` or ``reads and writes``; ``nothing``.
        tables: whose users wait, at any time.
    """

    total_ms: float = 0.0
    longest_ms: float = 0.0
    longest_at: int = 0
    blocks: str = "nothing"
    tables: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Stretch:
    """Statements that hold their locks together: from the first that blocks until the commit."""

    begins_at: int
    milliseconds: float
    mode: LockMode


def expected_pause(
    plan: Plan, traces: Sequence[Mapping[str, Any]], existing: Collection[str] | None = None
) -> Pause:
    """The pause that production must expect when its data and machine are like the branch's.

    Not in it: how long a statement waits for its lock; that depends on who holds it on that day.

    Args:
        plan: what was applied.
        traces: one JSON value per statement: ``{"index", "milliseconds", "locks": [[relation, mode]], ...}``;
            index counts from 0.
        existing: the tables that existed before; locks on others block nobody. None counts every relation.
    """
    known = _known(existing)
    stretches: list[_Stretch] = []
    tables: set[str] = set()
    group: int | None = None
    for index, trace in sorted(_by_index(traces).items()):
        if not 0 <= index < len(plan.statements):
            continue
        statement = plan.statements[index]
        this = statement.group if statement.transactional else None
        blocking = {name: mode for name, mode in _observed(trace, known).items() if mode.blocks_writes}
        tables.update(blocking)
        milliseconds = float(trace["milliseconds"])
        strongest = max(blocking.values(), key=lambda mode: mode.strength, default=LockMode.NONE)
        if group is not None and this == group:
            stretches[-1].milliseconds += milliseconds
            stretches[-1].mode = max(stretches[-1].mode, strongest, key=lambda mode: mode.strength)
        elif blocking:
            stretches.append(_Stretch(begins_at=index + 1, milliseconds=milliseconds, mode=strongest))
            group = this
        else:
            group = None
    if not stretches:
        return Pause()
    longest = max(stretches, key=lambda stretch: stretch.milliseconds)
    return Pause(
        total_ms=sum(stretch.milliseconds for stretch in stretches),
        longest_ms=longest.milliseconds,
        longest_at=longest.begins_at,
        blocks=longest.mode.blocks,
        tables=tuple(sorted(tables)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One lock on one existing table, as it was really taken.

    Attributes:
        relation: the table.
        mode: as pg_locks has it.
        statement: number (from 1) of the statement that took it.
        held_ms: from that statement's beginning to the end of its transaction, milliseconds.
    """

    relation: str
    mode: LockMode
    statement: int
    held_ms: float

    def to_json(self) -> dict[str, Any]:
        """All attributes by name, and ``blocks``: what waits for it, in words."""
        return {
            "relation": self.relation,
            "mode": self.mode.value,
            "blocks": self.mode.blocks,
            "statement": self.statement,
            "held_ms": round(self.held_ms, 3),
        }


def lock_table(
    plan: Plan, traces: Sequence[Mapping[str, Any]], existing: Collection[str] | None = None
) -> tuple[Held, ...]:
    """Every lock that was taken on an existing table and stands in somebody's way, in the order of taking.

    Args:
        plan: what was applied.
        traces: see ``expected_pause``.
        existing: see ``expected_pause``.
    """
    known = _known(existing)
    by_index = _by_index(traces)
    took = [float(by_index[i]["milliseconds"]) if i in by_index else 0.0 for i in range(len(plan.statements))]
    held = []
    for index, trace in sorted(by_index.items()):
        if not 0 <= index < len(plan.statements):
            continue
        statement = plan.statements[index]
        until = index + 1
        while (
            statement.transactional
            and until < len(plan.statements)
            and plan.statements[until].transactional
            and plan.statements[until].group == statement.group
        ):
            until += 1
        held += [
            Held(relation=name, mode=mode, statement=index + 1, held_ms=sum(took[index:until]))
            for name, mode in sorted(_observed(trace, known).items())
            if mode.strength > LockMode.ROW_EXCLUSIVE.strength
        ]
    return tuple(held)


def measured(
    plan: Plan, traces: Sequence[Mapping[str, Any]], existing: Collection[str] | None = None
) -> dict[str, Any]:
    """The figures for the report: ``locks``, one row a lock, and ``pause``."""
    return {
        "locks": [each.to_json() for each in lock_table(plan, traces, existing)],
        "pause": asdict(expected_pause(plan, traces, existing)),
    }


def compare_locks(
    plan: Plan, traces: Sequence[Mapping[str, Any]], existing: Collection[str] | None = None
) -> tuple[Finding, ...]:
    """Findings where a statement locked or rewrote more than it declared, and the pause to expect.

    Args:
        plan: what was applied.
        traces: see ``expected_pause``; ``rewritten`` names the tables whose files were written anew.
        existing: see ``expected_pause``.
    """
    known = _known(existing)
    by_index = _by_index(traces)
    findings: list[Finding] = []
    surprises = 0
    for index, statement in enumerate(plan.statements):
        trace = by_index.get(index)
        if trace is None:
            findings.append(not_looked_at(CHECK, f"statement {index + 1}", "there is no trace of it"))
            continue
        if not statement.transactional and not trace["locks"]:
            why = f"it runs outside a transaction and was too quick to be seen; it declared {statement.lock.value}"
            findings.append(not_looked_at(CHECK, f"statement {index + 1}", why))
        found = [*_stronger(index, statement, trace, known), *_rewritten(index, statement, trace, known)]
        surprises += len(found)
        findings.extend(found)
    if by_index and not surprises:
        findings.append(
            Finding(
                check=CHECK,
                severity=Severity.OK,
                subject="plan",
                message="no statement that could be looked at locked or rewrote more than it declared",
            )
        )
    if by_index:
        findings.append(_pause_finding(expected_pause(plan, traces, existing)))
    return tuple(findings)


def _stronger(
    index: int, statement: Statement, trace: Mapping[str, Any], known: set[tuple[str, ...]] | None
) -> list[Finding]:
    """Existing tables that were locked harder than the statement declared, where that makes somebody wait."""
    declared_on = {parts_of(name) for name in statement.lock_on}
    findings = []
    for name, mode in sorted(_observed(trace, known).items()):
        declared = statement.lock if parts_of(name) in declared_on else LockMode.NONE
        # Up to ROW EXCLUSIVE, a statement stands in nobody's way but another schema change's.
        if mode.strength <= max(declared.strength, LockMode.ROW_EXCLUSIVE.strength):
            continue
        said = "no lock on it" if declared is LockMode.NONE else declared.value
        findings.append(
            Finding(
                check=CHECK,
                severity=Severity.ATTENTION,
                subject=name,
                message=(
                    f"statement {index + 1} took {mode.value}, which blocks {mode.blocks}, "
                    f"for {_ms(trace['milliseconds'])}; it declared {said}; please report this as a fault of the plan"
                ),
            )
        )
    return findings


def _rewritten(
    index: int, statement: Statement, trace: Mapping[str, Any], known: set[tuple[str, ...]] | None
) -> list[Finding]:
    """Existing tables that were rewritten by a statement without the hazard ``rewrites_table``."""
    if any(hazard.code == "rewrites_table" for hazard in statement.hazards):
        return []
    return [
        Finding(
            check=CHECK,
            severity=Severity.ATTENTION,
            subject=name,
            message=(
                f"statement {index + 1} rewrote the table in {_ms(trace['milliseconds'])}, though it declared "
                "no rewrite; it takes longer the more rows production has"
            ),
        )
        for name in trace.get("rewritten", ())
        if known is None or parts_of(name) in known
    ]


def _pause_finding(pause: Pause) -> Finding:
    if not pause.longest_at:
        return Finding(
            check=CHECK,
            severity=Severity.OK,
            subject="pause",
            message="no statement makes readers or writers of existing tables wait",
        )
    return Finding(
        check=CHECK,
        severity=Severity.ATTENTION if pause.longest_ms >= LONG_PAUSE_MS else Severity.OK,
        subject="pause",
        message=(
            f"expect a pause of {_ms(pause.total_ms)} in all, {_ms(pause.longest_ms)} at most at once "
            f"(from statement {pause.longest_at}, blocks {pause.blocks}), on {', '.join(pause.tables)}"
        ),
    )


def _known(existing: Collection[str] | None) -> set[tuple[str, ...]] | None:
    return None if existing is None else {parts_of(name) for name in existing}


def _by_index(traces: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {int(trace["index"]): trace for trace in traces}


def _observed(trace: Mapping[str, Any], known: set[tuple[str, ...]] | None) -> dict[str, LockMode]:
    """The strongest mode really taken on each existing table."""
    strongest: dict[str, LockMode] = {}
    for name, mode_name in trace["locks"]:
        if known is not None and parts_of(name) not in known:
            continue
        mode = LockMode(mode_name)
        if mode.strength > strongest.get(name, LockMode.NONE).strength:
            strongest[name] = mode
    return strongest


def _ms(milliseconds: float) -> str:
    value = float(milliseconds)
    if value >= 10_000:
        return f"{value / 1000:,.0f} s"
    if value >= 1000:
        return f"{value / 1000:.1f} s"
    return f"{value:.0f} ms" if value >= 1 else "under 1 ms"
