"""A plan: ordered statements from main's snapshot to the goal's, as a value. Pure: no I/O of any kind."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.migration.locks import LockMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """A named danger of one statement.

    Attributes:
        code: one of ``hazards.CATALOGUE``, e.g. ``deletes_data``.
        on: the object in danger, e.g. ``public.customers.fax``.
        detail: one sentence for a person: what happens, to what, what to do about it.
        scale: how large and how busy that is: ``about 5,000,000 rows, 1.2 GB, about 40 writes a second``; empty
            where it says nothing. No part of a plan's SQL text, which is the same on the same schemas.
    """

    code: str
    on: str
    detail: str
    scale: str = ""

    @property
    def name(self) -> str:
        """How it is allowed by name: ``code:object``."""
        return f"{self.code}:{self.on}"

    def to_json(self) -> dict[str, Any]:
        """``{"code", "on", "detail", "scale"}``."""
        return {"code": self.code, "on": self.on, "detail": self.detail, "scale": self.scale}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A question to the data that must have an empty answer, or the statement will fail or lose something.

    Attributes:
        kind: ``null`` | ``check`` | ``unique`` | ``foreign_key`` | ``cast`` | ``range`` | ``rows_at_stake``.
        subject: the constraint or column in question, e.g. ``public.orders.total``.
        problem: a sentence with ``{count}`` in it, e.g. ``{count} rows of public.orders have no note``.
        count_sql: one row, one bigint: how many rows are in the way.
        sample_sql: up to 5 rows that identify offenders by key (never other columns' values); may be empty.
        blocks: True when a count above 0 means that the statement will fail.
        remedy: what to do about it, one sentence.
    """

    kind: str
    subject: str
    problem: str
    count_sql: str
    sample_sql: str = ""
    blocks: bool = True
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """All attributes by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeps:
    """What a statement sets aside instead of dropping it; main itself keeps a record of it.

    Attributes:
        name: the reserved name: of the schema that holds a table, or of a column.
        was: schema, table and for a column its name.
        days: how long it is kept.
    """

    name: str
    was: tuple[str, ...]
    days: int

    def to_json(self) -> dict[str, Any]:
        """``{"name", "was", "days"}``."""
        return {"name": self.name, "was": list(self.was), "days": self.days}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a plan.

    Attributes:
        sql: one SQL statement, without a trailing semicolon, every name qualified and quoted as needed.
        why: the sentence that a person reads: what this does and because of which difference.
        lock: the strongest table lock it takes on an existing table.
        lock_on: the tables that lock is taken on, qualified names.
        hazards: its dangers.
        probes: what to ask the data before running it.
        transactional: False for what cannot run in a transaction block (CREATE INDEX CONCURRENTLY, ...).
        group: statements with the same number are committed together; numbers rise through the plan.
        lock_timeout_ms: how long to wait for a lock before giving up and trying again, milliseconds.
        statement_timeout_ms: how long it may run, milliseconds; 0 is no limit.
        repair: it cleans up what an interrupted run of this very plan left (an INVALID index, a helper
            constraint); such statements may appear in a resumed plan without having been approved.
        by_blocks: the table whose rows it changes in batches, each committed, or empty. Its SQL ends with a
            condition that a range of blocks can be added to with AND, does the same when it is run as it
            stands, and changes nothing where it has been already.
        contract: here what takes away begins, and a transaction may end before it.
        writes: tables whose rows it changes by design, qualified names.
        source, line: the file of a person's own that it stands in, and its first line there; "" and 0 when it is
            generated.
        batch: it is repeated, each time in a transaction of its own, until it changes no row.
        keeps: what it sets aside, or None.
        forgets: the reserved name of what is set aside no more after it, or empty.
        late: whether the version of the app that runs now would notice it, so that it belongs to the second phase;
            None where nobody knows: it is not generated.
    """

    sql: str
    why: str
    lock: LockMode = LockMode.NONE
    lock_on: tuple[str, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    probes: tuple[Probe, ...] = ()
    transactional: bool = True
    group: int = 0
    lock_timeout_ms: int = 2_000
    statement_timeout_ms: int = 0
    repair: bool = False
    by_blocks: str = ""
    contract: bool = False
    writes: tuple[str, ...] = ()
    source: str = ""
    line: int = 0
    batch: bool = False
    keeps: Keeps | None = None
    forgets: str = ""
    late: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """All attributes by name; ``lock`` as PostgreSQL writes it in pg_locks."""
        return {
            "sql": self.sql,
            "why": self.why,
            "lock": self.lock.value,
            "lock_on": list(self.lock_on),
            "hazards": [hazard.to_json() for hazard in self.hazards],
            "probes": [probe.to_json() for probe in self.probes],
            "transactional": self.transactional,
            "group": self.group,
            "lock_timeout_ms": self.lock_timeout_ms,
            "statement_timeout_ms": self.statement_timeout_ms,
            "repair": self.repair,
            "by_blocks": self.by_blocks,
            "contract": self.contract,
            "writes": list(self.writes),
            "source": self.source,
            "line": self.line,
            "batch": self.batch,
            "keeps": self.keeps.to_json() if self.keeps else None,
            "forgets": self.forgets,
            "late": self.late,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Statement":
        """The reverse of to_json; unknown keys (a stored trace) are ignored."""
        return cls(
            sql=value["sql"],
            why=value["why"],
            lock=LockMode(value["lock"]),
            lock_on=tuple(value["lock_on"]),
            hazards=tuple(Hazard(**hazard) for hazard in value["hazards"]),
            probes=tuple(Probe(**probe) for probe in value["probes"]),
            transactional=value["transactional"],
            group=value["group"],
            lock_timeout_ms=value["lock_timeout_ms"],
            statement_timeout_ms=value["statement_timeout_ms"],
            repair=value["repair"],
            by_blocks=value.get("by_blocks", ""),
            # Plans that were stored by older versions do not have these.
            contract=value.get("contract", False),
            writes=tuple(value.get("writes", ())),
            source=value.get("source", ""),
            line=value.get("line", 0),
            batch=value.get("batch", False),
            keeps=_keeps(value.get("keeps")),
            forgets=value.get("forgets", ""),
            late=value.get("late"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Ordered statements that lead from one snapshot to another.

    Attributes:
        base: fingerprint of the snapshot it starts from (main's); empty where only differences were read.
        goal: fingerprint of the snapshot it leads to; empty likewise.
        statements: in the order in which they are applied.
        notes: differences that need no statement (column order, what is not compared), one sentence each.
        online: names of the columns that are written anew beside the traffic (``recipes/online.py``): whoever plans
            the remainder of this plan must decide the same, whatever the size of the tables is by then.
    """

    base: str
    goal: str
    statements: tuple[Statement, ...]
    notes: tuple[str, ...] = ()
    online: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what would be done: base, goal and each statement's SQL and order."""
        content = json.dumps([self.base, self.goal, [s.sql for s in self.statements]], ensure_ascii=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def hazards(self) -> tuple[Hazard, ...]:
        """Every statement's hazards, in order."""
        return tuple(hazard for statement in self.statements for hazard in statement.hazards)

    def to_sql(self) -> str:
        """Plain SQL that psql can run: transactional runs between BEGIN and COMMIT, comments say why."""
        lines: list[str] = []
        if any(
            " FUNCTION " in statement.sql or " PROCEDURE " in statement.sql for statement in self.statements
        ):
            # Bodies may name what comes later; apply does the same.
            lines.append("SET check_function_bodies = off;\n")
        open_group: int | None = None
        for statement in self.statements:
            wanted = statement.group if statement.transactional else None
            if open_group is not None and open_group != wanted:
                lines.append("COMMIT;\n")
                open_group = None
            if wanted is not None and open_group is None:
                lines.append("BEGIN;")
                open_group = wanted
            lines.append("-- " + statement.why.replace("\n", " "))
            lines.extend(f"-- {h.code}: {h.detail}".replace("\n", " ") for h in statement.hazards)
            lines.append(statement.sql + ";")
        if open_group is not None:
            lines.append("COMMIT;\n")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """``{"digest", "base", "goal", "statements", "notes"}``."""
        return {
            "digest": self.digest,
            "base": self.base,
            "goal": self.goal,
            "statements": [statement.to_json() for statement in self.statements],
            "notes": list(self.notes),
            "online": list(self.online),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Plan":
        """The reverse of to_json."""
        return cls(
            base=value["base"],
            goal=value["goal"],
            statements=tuple(Statement.from_json(statement) for statement in value["statements"]),
            notes=tuple(value["notes"]),
            online=tuple(value.get("online", ())),
        )


def _keeps(value: Mapping[str, Any] | None) -> Keeps | None:
    return Keeps(name=value["name"], was=tuple(value["was"]), days=value["days"]) if value else None
