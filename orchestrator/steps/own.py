"""A person's own steps: their files read, and what the rehearsal measured of them. Reads files, writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.database import Connection
from orchestrator.errors import PreviewMoved, SettingsError
from orchestrator.lifecycle import Preview
from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.own import OwnStep, own_step, pending
from orchestrator.migration.plan import Hazard, Plan, Statement
from orchestrator.postgres.ledger import read_ledger
from orchestrator.postgres.trace import StatementTrace
from orchestrator.settings import Settings

#: What the server calls statements after which rows or values are gone.
_TAKES_AWAY = ("DELETE", "TRUNCATE", "DROP")


class OwnSteps:
    """The steps of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(self) -> tuple[OwnStep, ...]:
        """Every file, in the order of the settings.

        Raises:
            SettingsError: a file is missing or no text.
            UsageError: a file is empty or holds what cannot run so.
        """
        return tuple(
            own_step(
                step.file,
                self._text(step.file),
                when=step.when,
                transaction=step.transaction,
                batch=step.batch,
            )
            for step in self._settings.migration.steps
        )

    def _text(self, file: str) -> str:
        try:
            return self._settings.path(file).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SettingsError(
                f"{file} is not UTF-8: byte {error.start + 1} cannot be read", hint="save it as UTF-8"
            ) from None
        except OSError as error:
            raise SettingsError(
                f"{file} cannot be read: {error.strerror}", hint="see migration.steps in preview.toml"
            ) from None

    def digests(self) -> list[tuple[str, str]]:
        """``[file, digest]`` of every step, as the diary keeps it."""
        return [(step.file, step.digest) for step in self.read()]

    def left(self, connection: Connection) -> Mapping[str, tuple[tuple[Statement, ...], ...]]:
        """What did not run on this database yet; see `pending`."""
        steps = self.read()
        return pending(steps, read_ledger(connection)) if steps else {}

    def assert_unchanged(self, preview: Preview) -> None:
        """What will run on main must be what was rehearsed.

        Raises:
            PreviewMoved: a file was changed, added or removed since.
        """
        then = dict(preview.facts.get("own_steps") or ())
        now = dict(self.digests())
        moved = sorted(file for file in {*then, *now} if then.get(file) != now.get(file))
        if moved:
            raise PreviewMoved(
                f"your step {moved[0]} was changed after {preview.name} was rehearsed",
                hint=f"`preview up {preview.name}` rehearses again",
            )


def measured(plan: Plan, traces: Sequence[StatementTrace]) -> Plan:
    """The plan with what the rehearsal saw of own steps: locks, and hazards. Nobody reads their SQL."""
    statements = list(plan.statements)
    for trace in traces:
        if statements[trace.index].source:
            statements[trace.index] = _measured(statements[trace.index], trace)
    return replace(plan, statements=tuple(statements))


def _measured(statement: Statement, trace: StatementTrace) -> Statement:
    modes = [(LockMode(mode), relation) for relation, mode in trace.locks]
    strongest = max((mode for mode, _ in modes), key=lambda mode: mode.strength, default=LockMode.NONE)
    written = tuple(sorted({r for mode, r in modes if mode.strength >= LockMode.ROW_EXCLUSIVE.strength}))
    took = f"{trace.milliseconds:,.0f} ms on the branch"
    found: list[Hazard] = []
    for mode, relation in sorted(modes, key=lambda each: each[1]):
        if mode.blocks_reads:
            found.append(hazard("blocks_reads", relation, f"it took {mode.value} on {relation} for {took}"))
        if mode.blocks_writes:
            found.append(hazard("blocks_writes", relation, f"it took {mode.value} on {relation} for {took}"))
    found += [
        hazard("rewrites_table", relation, f"it wrote {relation} anew in {took}")
        for relation in trace.rewritten
    ]
    if trace.tag.startswith(_TAKES_AWAY) and trace.rows != 0:
        what = f"{trace.rows:,} rows" if trace.rows > 0 else "what it names"
        on = ", ".join(written) or statement.source
        found += [
            hazard(
                "deletes_data", each, f"{trace.tag} of {what} ({on}) in {statement.source}:{statement.line}"
            )
            for each in written or (statement.source,)
        ]
    return replace(
        statement,
        lock=strongest,
        lock_on=tuple(sorted({relation for mode, relation in modes if mode is strongest})),
        writes=written,
        hazards=tuple(found),
    )
