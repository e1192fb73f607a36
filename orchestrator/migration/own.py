"""SQL of a person's own as statements of a plan, with the ledger that makes each run once. Pure: no I/O of any kind."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.errors import UsageError
from orchestrator.migration.plan import Statement
from orchestrator.migration.split import Piece, split
from orchestrator.schema.names import literal

#: Where the ledger is kept; the schema is no part of any snapshot.
LEDGER = "preview_internal.steps"

_TABLE = (
    f"CREATE TABLE IF NOT EXISTS {LEDGER} (file text, part integer, digest text NOT NULL, "
    "ran_at timestamptz NOT NULL DEFAULT now(), ran_by text NOT NULL DEFAULT current_user, PRIMARY KEY (file, part))"
)
_SETUP = ("CREATE SCHEMA IF NOT EXISTS preview_internal", _TABLE)
#: What would end the transaction that the ledger's row stands in.
_ENDS = frozenset({"BEGIN", "START", "COMMIT", "END", "ABORT", "ROLLBACK", "PREPARE TRANSACTION"})

#: (file, part) -> digest of the file; part 0 stands for all of it.
Ledger = Mapping[tuple[str, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStep:
    """One file of SQL and when it runs.

    Attributes:
        file: its name as the settings have it; what the ledger knows it by.
        when: ``before``, ``before_contract`` or ``after``.
        transaction: whether all of it is one transaction.
        batch: whether its one statement is repeated until it changes nothing.
        digest: SHA-256 (hex) of the file and of how it is run.
        pieces: its statements.
    """

    file: str
    when: str
    transaction: bool
    batch: bool
    digest: str
    pieces: tuple[Piece, ...]

    def part(self, number: int) -> int:
        """The ledger's part for the statement of this number, from 1; one part is all of it in a transaction."""
        return 0 if self.transaction else number


def own_step(file: str, text: str, *, when: str, transaction: bool = True, batch: bool = False) -> OwnStep:
    """A file as a step.

    Raises:
        UsageError: it is empty, controls transactions itself, or is no single statement though it is a batch.
    """
    pieces = split(text)
    if not pieces:
        raise UsageError(f"{file} holds no statement", hint="write one, or take it out of migration.steps")
    for piece in pieces:
        two = " ".join(piece.words[:2])
        ends = piece.words[:1] and (piece.words[0] in _ENDS or two in _ENDS)
        if ends and two != "ROLLBACK TO":
            raise UsageError(
                f"{file}, line {piece.line}: {piece.words[0]}: transactions are begun and ended by preview",
                hint="take it out; `transaction = false` runs each statement by itself",
            )
        if piece.words[:1] == ("COPY",) and " STDIN" in f" {piece.sql.upper()}":
            raise UsageError(
                f"{file}, line {piece.line}: COPY FROM STDIN needs a client that sends the rows",
                hint="write INSERT statements instead",
            )
        if piece.sql.startswith("\\"):
            raise UsageError(
                f"{file}, line {piece.line}: {piece.sql.split()[0]} is a command of psql, not SQL",
                hint="write SQL",
            )
    if batch and len(pieces) != 1:
        raise UsageError(
            f"{file} is a batch and holds {len(pieces)} statements",
            hint="give each statement a file of its own",
        )
    how = f"{when}\x1f{transaction}\x1f{batch}\x1f{text}"
    return OwnStep(
        file=file,
        when=when,
        transaction=transaction,
        batch=batch,
        digest=hashlib.sha256(how.encode()).hexdigest(),
        pieces=pieces,
    )


def pending(steps: Iterable[OwnStep], ledger: Ledger) -> Mapping[str, tuple[tuple[Statement, ...], ...]]:
    """What is still to run, by when; each block of statements keeps its order and its transactions.

    Raises:
        UsageError: a file ran already and has changed since.
    """
    blocks: dict[str, list[tuple[Statement, ...]]] = {"before": [], "before_contract": [], "after": []}
    some = False
    for step in steps:
        changed = [d for (file, _), d in ledger.items() if file == step.file and d != step.digest]
        if changed:
            raise UsageError(
                f"{step.file} ran already and has changed since; a step runs once",
                hint="put the new work into a new file, and leave or remove this one as it was",
            )
        if block := _block(step, ledger):
            blocks[step.when].append(block)
            some = True
    if some:
        setup = tuple(
            Statement(sql=sql, why="the ledger of your own steps, which makes each run once", repair=True)
            for sql in _SETUP
        )
        blocks["before"].insert(0, setup)
    return {when: tuple(found) for when, found in blocks.items()}


def _block(step: OwnStep, ledger: Ledger) -> tuple[Statement, ...]:
    """The statements of one step that did not run yet, each with its line of the ledger."""
    made: list[Statement] = []
    group = 0
    todo = [
        (number, piece)
        for number, piece in enumerate(step.pieces, start=1)
        if (step.file, step.part(number)) not in ledger
    ]
    for number, piece in todo:
        made.append(
            Statement(
                sql=piece.sql,
                why=f"your step {step.file}, line {piece.line}"
                + (", until no row is left" if step.batch else ""),
                source=step.file,
                line=piece.line,
                transactional=step.transaction,
                batch=step.batch,
                group=group,
            )
        )
        if not step.transaction or step.batch:
            group += 1
            made.append(_line(step, number, group))
            group += 1
    if todo and step.transaction and not step.batch:
        made.append(_line(step, 0, group))
    return tuple(made)


def _line(step: OwnStep, number: int, group: int) -> Statement:
    values = f"{literal(step.file).strip()}, {step.part(number)}, {literal(step.digest).strip()}"
    of = f", statement {number}" if step.part(number) else ""
    return Statement(
        sql=f"INSERT INTO {LEDGER} (file, part, digest) VALUES ({values})",
        why=f"your step {step.file}{of} has run",
        group=group,
    )
