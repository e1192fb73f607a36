"""A column's new form beside the traffic: a shadow, kept by a trigger, filled in batches, proved, then swapped in.

Everything before the swap has a helper's name and is no part of a snapshot; each statement may be run again. The swap
is one transaction. Killed before it, the next plan finds the shadow and goes on; killed after it, nothing is left.
Pure: no I/O.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from orchestrator.migration import types
from orchestrator.migration.hazards import hazard
from orchestrator.migration.helpers import helper_name
from orchestrator.migration.locks import LockMode
from orchestrator.migration.narrowing import FAIL
from orchestrator.migration.plan import Hazard, Probe
from orchestrator.migration.recipes.column_changes import replaced
from orchestrator.migration.recipes.columns import identity_sql, settings
from orchestrator.migration.recipes.constraints import index_parts
from orchestrator.migration.recipes.shadows import Shadow, shadow_of
from orchestrator.migration.step import Phase, Step, Token, gone, ready, released
from orchestrator.migration.work import PATIENT_MS, Work
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Constraint, Default, Index
from orchestrator.schema.texts import with_renamed


def swapped(table: Key) -> Token:
    """Every shadow of the table has taken its column's place."""
    return ("swapped", table)


def steps(work: Work) -> Iterator[Step]:
    """Steps for every table that has columns to change through a shadow."""
    for table in sorted(work.online.retyped):
        rewrite = _Rewrite(work, table)
        yield from rewrite.prepare()
        yield from rewrite.members()
        yield from rewrite.swap()


def wanted(work: Work) -> frozenset[Key]:
    """Helpers that this plan makes: what an interrupted run left of them stays."""
    found: set[Key] = set()
    for table in work.online.retyped:
        found |= _Rewrite(work, table).helpers
    return frozenset(found)


def _must(each: Shadow) -> str:
    """The name of the shadow's NOT NULL constraint, from PostgreSQL 18 on."""
    return helper_name("must", each.key, each.name)


class _Rewrite:
    """One table's shadows."""

    def __init__(self, work: Work, table: Key) -> None:
        self.work = work
        self.table = table
        self.shadows = [shadow_of(work, key) for key in work.online.retyped[table]]
        names = [each.name for each in self.shadows]
        self.sync = helper_name("sync", table, *names)
        self.trigger = f"~{self.sync}"
        self.proof = helper_name("proof", table, *names)
        self.names = {each.column: each.name for each in self.shadows}
        self.mine = [key for key in sorted(work.online.moved) if self._is_mine(key)]
        self.last: Token | None = None
        self.there = {each.key for each in work.base.leftovers if each.valid}

    def _is_mine(self, key: Key) -> bool:
        thing = self.work.goal.objects[key]
        return (thing.table if isinstance(thing, Index) else key.path[:2]) == self.table.path

    @property
    def helpers(self) -> frozenset[Key]:
        """Everything with a helper's name."""
        found = {Key("column", (*self.table.path, each.name)) for each in self.shadows}
        found |= {
            Key("trigger", (*self.table.path, self.trigger)),
            Key("function", (self.table.path[0], self.sync, "")),
            Key("constraint", (*self.table.path, self.proof)),
        }
        return frozenset(found | {self._built(key)[0] for key in self.mine})

    def _built(self, key: Key) -> tuple[Key, str]:
        """The helper that is built over the shadow for an index or constraint, and its definition."""
        thing = self.work.goal.objects[key]
        if isinstance(thing, Index):
            definition = with_renamed(thing.definition, self.names)
        else:
            assert isinstance(thing, Constraint)  # noqa: S101 - nothing else is moved
            parts = index_parts(thing)
            definition = with_renamed(parts[1] if parts else thing.definition, self.names)
            if parts is None:
                return Key(
                    "constraint", (*self.table.path, helper_name("online", key, definition))
                ), definition
        return Key("index", (key.path[0], helper_name("online", key, definition))), definition

    def _step(
        self, phase: Phase, sql: str, why: str, *, tokens: Any = None, wants: Any = (), **more: Any
    ) -> Step:
        """A step in the chain."""
        token: Token = ("online", f"{phase} {sql}", self.table.path)
        before = [self.last] if self.last else []
        self.last = token
        gives = [token, *more.pop("gives", ())]
        return self.work.step(
            self.shadows[0].key, phase, sql, why, tokens or (frozenset(), frozenset()), tables=[self.table],
            gives=gives, wants=[*wants, *before], **more,
        )  # fmt: skip

    def _expressions(self, prefix: str) -> list[str]:
        """``shadow = value`` for each shadow."""
        names = {
            quote(each.key.path[-1]): f"{prefix}{quote(each.key.path[-1])}"
            for each in self.work.base.columns_of(self.table)
        }
        sign = ":=" if prefix else "="
        return [
            f"{prefix}{each.name} {sign} {each.value(names, prefix) or prefix + each.column}"
            for each in self.shadows
        ]

    def prepare(self) -> Iterator[Step]:
        """The shadow, its trigger, its values and the proof that none is wrong."""
        work, table = self.work, self.table
        columns = ", ".join(each.key.name for each in self.shadows)
        strong: dict[str, Any] = {"lock": LockMode.ACCESS_EXCLUSIVE}
        adds = ", ".join(
            f"ADD COLUMN IF NOT EXISTS {each.name} {each.after.type}"
            + (f" COLLATE {each.after.collation}" if each.after.collation else "")
            for each in self.shadows
        )
        hazards, probes = self._dangers()
        yield self._step(
            Phase.CREATE, f"ALTER TABLE {table.name} {adds}",
            f"add a shadow of {columns} in its new form; reads and writes go on while it is filled", **strong,
            wants=[
                ready(needed)
                for each in self.shadows
                for needed in work.goal.needs.get(each.key, ())
                if needed.kind == "collation"
            ],
            hazards=hazards, probes=probes,
        )  # fmt: skip
        for each in self.shadows:
            helper = Key("column", (*table.path, each.name))
            for step in settings(work, helper, (), each.before.settings):
                yield self._step(
                    Phase.CREATE, step.statement.sql, f"store the shadow of {each.key} alike", **strong
                )
        function = f"{quote(table.path[0])}.{self.sync}()"
        body = f"BEGIN {'; '.join(self._expressions('NEW.'))}; RETURN NEW; END"
        pinned = (
            ""
            if all(each.plain for each in self.shadows)
            else " SET TimeZone FROM CURRENT SET DateStyle FROM CURRENT"
        )
        yield self._step(
            Phase.CREATE,
            f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql{pinned}"
            f" AS {literal(body).strip()}",
            f"say how a row's shadow of {columns} is made",
        )
        named = quote(self.trigger)
        yield self._step(
            Phase.CREATE,
            f"CREATE OR REPLACE TRIGGER {named} BEFORE INSERT OR UPDATE ON {table.name}"
            f" FOR EACH ROW EXECUTE FUNCTION {function}",
            f"keep the shadow of {columns} with every write from now on", lock=LockMode.SHARE_ROW_EXCLUSIVE,
        )  # fmt: skip
        yield self._step(
            Phase.CREATE, f"ALTER TABLE {table.name} ENABLE ALWAYS TRIGGER {named}",
            "also for rows that replication brings", lock=LockMode.SHARE_ROW_EXCLUSIVE,
        )  # fmt: skip
        stale = " OR ".join(f"({each.stale})" for each in self.shadows)
        yield self._step(
            Phase.CREATE, f"UPDATE {table.name} SET {', '.join(self._expressions(''))} WHERE ({stale})",
            f"fill the shadow of {columns}, batch by batch; reads and writes go on", lock=LockMode.ROW_EXCLUSIVE,
            heavy=True, transactional=False, by_blocks=table.name,
            hazards=(
                hazard(
                    "scans_table", table.name,
                    f"every row of {table.name} is written again in small batches ({work.rows(table)}): it needs about"
                    " as much disk again, and as much WAL",
                ),
            ),
        )  # fmt: skip
        yield from self._proved()
        for each in self.shadows:
            if each.not_null:
                # PostgreSQL 18 gives it a name, which would tell of the helper for ever.
                named = f"ADD CONSTRAINT {_must(each)} NOT NULL {each.name}"
                change = (
                    named if each.before.not_null_constraint else f"ALTER COLUMN {each.name} SET NOT NULL"
                )
                yield self._step(
                    Phase.CREATE, f"ALTER TABLE {table.name} {change}",
                    f"the shadow of {each.key} must not be NULL; the check proves it, nothing is read", **strong,
                )  # fmt: skip
        yield self._step(
            Phase.CREATE, f"ANALYZE {table.name} ({', '.join(each.name for each in self.shadows)})",
            f"let the query planner know the values of {columns} before it uses them", alone=True,
            lock=LockMode.SHARE_UPDATE_EXCLUSIVE, lock_timeout_ms=PATIENT_MS,
        )  # fmt: skip

    def _proved(self) -> Iterator[Step]:
        proof = " AND ".join(f"({each.proof})" for each in self.shadows if each.proof)
        if proof and Key("constraint", (*self.table.path, self.proof)) not in self.there:
            yield from self._checked(
                self.proof,
                f"CHECK ({proof})",
                "let PostgreSQL hold the shadow right until it takes over",
                "prove that the shadow is right in every row; reads and writes go on",
            )

    def _checked(
        self, name: str, definition: str, why: str, looking: str, wants: list[Token] | None = None
    ) -> Iterator[Step]:
        """A check, and later the look at the rows that are there."""
        table = self.table
        helper: Token = ("helper", "constraint", (*table.path, name))
        yield self._step(
            Phase.CREATE, f"ALTER TABLE {table.name} ADD CONSTRAINT {name} {definition} NOT VALID", why,
            lock=LockMode.ACCESS_EXCLUSIVE, wants=[helper, *(wants or ())],
        )  # fmt: skip
        yield self._step(
            Phase.CREATE, f"ALTER TABLE {table.name} VALIDATE CONSTRAINT {name}", looking,
            lock=LockMode.SHARE_UPDATE_EXCLUSIVE, alone=True, heavy=True,
            hazards=(hazard("scans_table", table.name, f"{table.name} is read ({self.work.rows(table)})"),),
        )  # fmt: skip

    def members(self) -> Iterator[Step]:
        """Indexes, keys and checks over the shadow, built beside the traffic."""
        work, table = self.work, self.table
        for key in self.mine:
            helper, definition = self._built(key)
            if helper in self.there:
                continue
            thing = work.goal.objects[key]
            needed = [ready(each) for each in work.goal.needs.get(key, ()) if each not in work.online.columns]
            if helper.kind == "constraint":
                looking = f"check existing rows against {key} over the shadow; reads and writes go on"
                yield from self._checked(
                    helper.path[-1], definition, f"add {key} over the shadow", looking, wants=needed
                )
                continue
            unique = isinstance(thing, Constraint) or (isinstance(thing, Index) and thing.unique)
            yield self._step(
                Phase.CREATE,
                f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY {helper.path[-1]} ON {table.name}"
                f" USING {definition}",
                f"build {key} over the shadow; reads and writes go on",
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE, transactional=False, lock_timeout_ms=PATIENT_MS,
                wants=[*needed, ("helper", "index", helper.path)],
                hazards=(hazard("builds_index", table.name, f"{table.name} is read ({work.rows(table)})"),),
            )  # fmt: skip

    def swap(self) -> Iterator[Step]:
        """One short transaction: the shadows take the columns' names and places."""
        statements = [*self._swapping()]
        gives, wants = self._tokens()
        for i, (sql, why) in enumerate(statements):
            first, end = i == 0, i == len(statements) - 1
            # What follows the first must follow it at once: REPAIR comes before everything that could come between.
            yield self._step(
                Phase.CHANGE if first else Phase.REPAIR, sql, why, lock=LockMode.ACCESS_EXCLUSIVE,
                gives=([("swap begins", self.table)] if first else []) + ([*gives, swapped(self.table)] if end else []),
                wants=wants if first else [],
                hazards=self._broken() if first else (),
            )  # fmt: skip

    def _swapping(self) -> Iterator[tuple[str, str]]:
        work, table = self.work, self.table
        alter = f"ALTER TABLE {table.name}"
        yield (
            f"DROP TRIGGER {quote(self.trigger)} ON {table.name}",
            "the shadow takes over: nobody writes for a moment",
        )
        yield (
            f"DROP FUNCTION {quote(table.path[0])}.{self.sync}()",
            "the trigger's function has done its work",
        )
        for each in self.shadows:
            for sequence in work.owned.get(each.key.path, ()):
                yield (
                    f"ALTER SEQUENCE {sequence.name} OWNED BY {table.name}.{each.name}",
                    f"{sequence} goes with the shadow, not with the old column",
                )
            if each.before.identity and each.after.identity:
                yield from self._numbering(each)
        drops = ", ".join(f"DROP COLUMN {each.column}" for each in self.shadows)
        yield f"{alter} {drops}", "the old form goes, with its indexes and checks"
        for each in self.shadows:
            yield f"{alter} RENAME COLUMN {each.name} TO {each.column}", f"the shadow is {each.key} now"
            if each.not_null and each.before.not_null_constraint:
                named = quote(each.before.not_null_constraint)
                yield f"{alter} RENAME CONSTRAINT {_must(each)} TO {named}", "with its NOT NULL by name"
        for key in self.mine:
            yield from self._named(key)
        defaults = [
            f"ALTER COLUMN {each.column} SET DEFAULT {default.expression}"
            for each in self.shadows
            if isinstance(default := work.goal.objects.get(Key("default", each.key.path)), Default)
        ]
        if defaults:
            yield f"{alter} {', '.join(defaults)}", "with its default"
        for each in self.shadows:
            if each.before.comment is not None:
                said = literal(each.before.comment).strip()
                yield f"COMMENT ON COLUMN {each.key.name} IS {said}", f"and the comment of {each.key}"

    def _numbering(self, each: Shadow) -> Iterator[tuple[str, str]]:
        """The shadow numbers itself from where the old column stopped."""
        options = dict(each.before.identity_sequence)
        named = {**dict(each.after.identity_sequence), "schema": options["schema"], "name": options["name"]}
        helper = Key("column", (*self.table.path, each.name))
        like = replace(
            each.after,
            key=helper,
            identity=each.before.identity,
            identity_sequence=tuple(sorted(named.items())),
        )
        sequence = dotted(options["schema"], options["name"])
        old = helper_name("seq", each.key)
        yield f"ALTER SEQUENCE {sequence} RENAME TO {old}", f"the numbers of {each.key} step aside"
        yield (
            f"ALTER TABLE {self.table.name} ALTER COLUMN {each.name} ADD {identity_sql(like)}",
            "the shadow numbers itself",
        )
        counted = f"{quote(options['schema'])}.{old}"
        if each.before.sequence_comment is not None:
            said = literal(each.before.sequence_comment).strip()
            yield f"COMMENT ON SEQUENCE {sequence} IS {said}", "with the comment of its sequence"
        yield (
            f"SELECT pg_catalog.setval({literal(sequence).strip()}, last_value, is_called) FROM {counted}",
            "and goes on where the old numbers stopped",
        )

    def _named(self, key: Key) -> Iterator[tuple[str, str]]:
        """What was built over the shadow gets its name."""
        helper, _ = self._built(key)
        thing, before = self.work.goal.objects[key], self.work.base.objects[key]
        name = quote(key.path[-1])
        alter = f"ALTER TABLE {self.table.name}"
        if isinstance(thing, Index):
            yield f"ALTER INDEX {helper.name} RENAME TO {name}", f"{key} is the one over the new form"
            noun = f"INDEX {key.name}"
        else:
            assert isinstance(thing, Constraint)  # noqa: S101 - nothing else is moved
            parts = index_parts(thing)
            if parts:
                sql = f"ADD CONSTRAINT {name} {parts[0]} USING INDEX {helper.path[-1]}{parts[2]}"
            else:
                sql = f"RENAME CONSTRAINT {helper.path[-1]} TO {name}"
            yield f"{alter} {sql}", f"{key} is the one over the new form"
            noun = f"CONSTRAINT {name} ON {self.table.name}"
        if before.comment is not None:
            yield f"COMMENT ON {noun} IS {literal(before.comment).strip()}", f"with the comment of {key}"

    def _tokens(self) -> tuple[list[Token], list[Token]]:
        """What the whole swap gives and wants: that of every change of type in it."""
        work = self.work
        gives: set[Token] = {ready(key) for key in self.mine}
        wants: set[Token] = set()
        for each in self.shadows:
            key, default = each.key, Key("default", each.key.path)
            given, needed = work.changing(key)
            gives |= given
            wants |= needed | {released(key)}
            wants |= {("chain", name, key.path) for name in ("expression", "identity", "nullable")}
            if default in work.goal.objects:
                gives.add(ready(default))
                wants |= {ready(other) for other in work.goal.needs.get(default, ())}
            if default in work.base.objects:
                gives |= {gone(default), *(released(other) for other in work.base.needs.get(default, ()))}
        own = {released(each.key) for each in self.shadows}
        # Its own columns, members and defaults are part of this very transaction.
        return sorted(gives - own, key=repr), sorted(wants - gives, key=repr)

    def _broken(self) -> tuple[Hazard, ...]:
        found = [
            hazard(
                "breaks_running_code", each.key.name,
                f"code that expects {each.before.type} in {each.key.name} gets {each.after.type}, and the column comes"
                " last where code counts on the order of columns",
            )
            for each in self.shadows
        ]  # fmt: skip
        return tuple(found)

    def _dangers(self) -> tuple[tuple[Hazard, ...], tuple[Probe, ...]]:
        """Values that do not fit."""
        hazards, probes = [], []
        hazards += [
            replaced(each.key, each.after, each.answer) for each in self.shadows if each.answer != FAIL
        ]
        for each in self.shadows:
            if types.may_not_fit(each.before.type, each.after.type) and each.answer == FAIL:
                detail = f"a value of {each.key.name} that is no {each.after.type} makes this fail"
                hazards.append(hazard("may_fail_on_data", each.key.name, detail))
                asked = (each.key.path[-1], each.before.type, each.after.type)
                probing = self.work.probing(self.table)
                probes += [probing.misfits(*asked), *probing.too_large(*asked)]
        return tuple(hazards), tuple(probes)
