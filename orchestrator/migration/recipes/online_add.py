"""A new column whose default gives each row its own value, on a large table: filled in batches under a helper's name.

The rename at the end is what makes it the goal's column, so that a run that was killed before it is seen to be
unfinished. Pure: no I/O.
"""

from collections.abc import Iterator
from typing import Any

from orchestrator.migration.hazards import hazard
from orchestrator.migration.helpers import helper_name
from orchestrator.migration.locks import LockMode
from orchestrator.migration.online import Online, table_obstacle
from orchestrator.migration.step import Phase, Step, Token
from orchestrator.migration.volatile import is_volatile
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, not_null_name, quote
from orchestrator.schema.objects import Column, Default


def decide(work: Work, policy: Online) -> frozenset[Key]:
    """New columns that are filled in batches before they come."""
    found = set()
    for key in work.found.added:
        if key.kind != "column" or key.parent not in work.base.objects:
            continue
        column = work.after(key, Column)
        expression = value(work, key)
        if (
            expression is None
            or not is_volatile(expression)
            or column.identity
            or column.generated is not None
        ):
            continue
        wanted = policy.wants(work.base, key.parent, [key])
        if wanted and not table_obstacle(work.base, key.parent, triggers=policy.mode == "auto"):
            found.add(key)
    return frozenset(found)


def value(work: Work, key: Key) -> str | None:
    """What rows that are there get: the answer to the fill question, else the default; None for nothing."""
    fill = work.answers.get(f"fill:{key.name}", "-")
    default = work.goal.objects.get(Key("default", key.path))
    if fill != "-":
        return fill
    return default.expression if isinstance(default, Default) else None


def _names(work: Work, key: Key) -> tuple[str, str]:
    """The column's and the check's names before the end."""
    column = work.after(key, Column)
    what = (column.type, column.collation or "", value(work, key) or "")
    return helper_name("add", key, *what), helper_name("filled", key, *what)


def wanted(work: Work) -> frozenset[Key]:
    """Helpers that this plan makes."""
    found: set[Key] = set()
    for key in work.online.added:
        column, check = _names(work, key)
        found |= {Key("column", (*key.path[:2], column)), Key("constraint", (*key.path[:2], check))}
    return frozenset(found)


def steps(work: Work, key: Key) -> Iterator[Step]:
    """Add, fill, prove, rename."""
    table, column = key.parent, work.after(key, Column)
    helper, check = _names(work, key)
    expression = value(work, key)
    default = Key("default", key.path)
    made = [key, default] if default in work.goal.objects else [key]
    gives, wants = work.making(*made)
    strong: dict[str, Any] = {"lock": LockMode.ACCESS_EXCLUSIVE}
    alter = f"ALTER TABLE {table.name}"
    last: list[Token] = []

    def step(sql: str, why: str, *, needs: Any = (), **more: Any) -> Step:
        token: Token = ("adding", sql, key.path)
        before, last[:] = list(last), [token]
        return work.step(
            key, Phase.CREATE, sql, why, tables=[table], wants=[*before, *needs],
            gives=[token, *more.pop("gives", ())], **more,
        )  # fmt: skip

    collate = f" COLLATE {column.collation}" if column.collation else ""
    yield step(
        f"{alter} ADD COLUMN IF NOT EXISTS {helper} {column.type}{collate}",
        f"add {key} under a helper's name until every row has its value", needs=wants, **strong,
    )  # fmt: skip
    yield step(
        f"{alter} ALTER COLUMN {helper} SET DEFAULT {expression}",
        f"new rows get {expression} from now on",
        **strong,
    )
    yield step(
        f"UPDATE {table.name} SET {helper} = {expression} WHERE ({helper} IS NULL)",
        f"fill {key} with {expression}, batch by batch; reads and writes go on", lock=LockMode.ROW_EXCLUSIVE,
        heavy=True, transactional=False, by_blocks=table.name,
        hazards=(
            hazard("scans_table", table.name, f"every row of {table.name} is written again in small batches"),
        ),
    )  # fmt: skip
    if column.not_null:
        yield from _filled(work, key, helper, check, step)
    if default not in work.goal.objects:
        yield step(
            f"{alter} ALTER COLUMN {helper} DROP DEFAULT",
            "the value was only for the rows that were there",
            **strong,
        )
    yield step(
        f"{alter} RENAME COLUMN {helper} TO {quote(key.path[-1])}", f"every row has its value: {key} is there",
        gives=[*gives, ("added", key)], **strong,
    )  # fmt: skip


def _knows_names(work: Work, key: Key) -> bool:
    """Whether NOT NULL constraints have names: from PostgreSQL 18 on."""
    columns = [thing for thing in work.base.objects.values() if isinstance(thing, Column) and thing.not_null]
    return any(each.not_null_constraint for each in columns or [work.after(key, Column)])


def _filled(work: Work, key: Key, helper: str, check: str, step: Any) -> Iterator[Step]:
    """NOT NULL through a validated check."""
    table = key.parent
    named = work.after(key, Column).not_null_name or not_null_name(*key.path[1:])
    change = f"ALTER COLUMN {helper} SET NOT NULL"
    if _knows_names(work, key):
        change = f"ADD CONSTRAINT {quote(named)} NOT NULL {helper}"
    strong: dict[str, Any] = {"lock": LockMode.ACCESS_EXCLUSIVE}
    alter = f"ALTER TABLE {table.name}"
    at = Key("constraint", (*table.path, check))
    if not any(each.key == at and each.valid for each in work.base.leftovers):
        yield step(
            f"{alter} ADD CONSTRAINT {check} CHECK ({helper} IS NOT NULL) NOT VALID", "refuse NULL in it from now on",
            needs=[("helper", "constraint", at.path)], **strong,
        )  # fmt: skip
        yield step(
            f"{alter} VALIDATE CONSTRAINT {check}", "look for NULL in it; reads and writes go on", alone=True,
            lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
            hazards=(hazard("scans_table", table.name, f"{table.name} is read ({work.rows(table)})"),),
        )  # fmt: skip
    yield step(
        f"{alter} {change}", "it must not be NULL; the check proves it, nothing is read",
        **strong,
    )  # fmt: skip
    yield step(f"{alter} DROP CONSTRAINT {check}", "the check has done its work", **strong)
