"""NOT NULL constraints with names and forms of their own (PostgreSQL 18). Pure: no I/O of any kind."""

from collections.abc import Iterator
from typing import Any

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.recipes.columns import unproved, usual_name
from orchestrator.migration.step import Phase, Step, Token, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Column


def steps(work: Work) -> Iterator[Step]:
    """Steps for every column that stays and whose NOT NULL has another name or form than it has, or will have."""
    for key in sorted(work.found.changed - work.rebuilt):
        if key.kind == "column" and work.after(key, Column).not_null:
            yield from _changed(work, key, work.before(key, Column), work.after(key, Column))


def _changed(work: Work, key: Key, before: Column, after: Column) -> Iterator[Step]:
    table = key.parent
    if not before.not_null and after.not_null_more == "NOT VALID":
        yield from unproved(work, key, after)
        return
    wanted = after.not_null_name or usual_name(key)
    name, more = before.not_null_constraint, before.not_null_more
    renamed = before.not_null_name != after.not_null_name
    if not before.not_null:
        name, more, renamed = usual_name(key), "", bool(after.not_null_name)
    if not name or (before.not_null and not after.local):
        return
    last: list[Token] = [ready(key), ("chain", "not null", key.path)]
    strong: dict[str, Any] = {"tables": [table], "lock": LockMode.ACCESS_EXCLUSIVE}
    if renamed and name != wanted:
        token: Token = ("renamed", "not null", key.path)
        yield work.step(
            key, Phase.FINISH, f"ALTER TABLE {table.name} RENAME CONSTRAINT {quote(name)} TO {quote(wanted)}",
            f"rename the NOT NULL constraint of {key}", wants=last, gives=[token], **strong,
        )  # fmt: skip
        last = [*last, token]
        name = wanted
    alter = f"ALTER TABLE {table.name}"
    if more == "NOT VALID" and after.not_null_more != "NOT VALID":
        yield work.step(
            key, Phase.VALIDATE, f"{alter} VALIDATE CONSTRAINT {quote(name)}",
            f"look for NULL in {key}; reads and writes go on", tables=[table], lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
            wants=last, alone=True, hazards=(hazard("scans_table", table.name, f"{table.name} is read"),),
        )  # fmt: skip
        more = ""
    if more != after.not_null_more:
        form = {
            "NO INHERIT": f"ALTER CONSTRAINT {quote(name)} NO INHERIT",
            "": f"ALTER CONSTRAINT {quote(name)} INHERIT",
            "NOT VALID": f"DROP CONSTRAINT {quote(name)}, "
            f"ADD CONSTRAINT {quote(name)} NOT NULL {quote(key.path[-1])} NOT VALID",
        }[after.not_null_more]
        yield work.step(
            key, Phase.FINISH, f"{alter} {form}", f"change the NOT NULL constraint of {key}", wants=last, **strong,
        )  # fmt: skip


def refused(work: Work) -> Iterator[str]:
    """Columns whose values would be lost on the way."""
    for key in sorted(work.found.changed):
        if key.kind == "column":
            before, after = work.before(key, Column), work.after(key, Column)
            if before.virtual and after.generated is None:
                yield f"{key} is virtual and is to hold values of its own, which PostgreSQL cannot do in place"
