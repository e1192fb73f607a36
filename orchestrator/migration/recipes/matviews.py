"""Materialized views: made with their rows, changed in place where only attributes differ, else made again. Pure."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard
from orchestrator.migration.recipes.columns import setting_changes
from orchestrator.migration.recipes.tables import options_changes, options_sql
from orchestrator.migration.step import Phase, Step, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import MaterializedView

KIND = "materialized view"


def steps(work: Work) -> Iterator[Step]:
    """Steps for every materialized view that differs."""
    for key in sorted(work.makes):
        if key.kind == KIND:
            yield _create(work, key)
            thing = work.after(key, MaterializedView)
            yield from _columns(work, key, (), thing.column_settings)
            yield from _clustered(work, key, None, thing.clustered_on)
    for key in sorted(set(work.base.of_kind(KIND)) & set(work.goal.of_kind(KIND)) - work.rebuilt):
        if key in work.found.changed or _chosen(work, key) in work.rebuilt:
            yield from _altered(work, key)
    for key in sorted(work.drops):
        if key.kind == KIND:
            yield _drop(work, key)


def _create(work: Work, key: Key) -> Step:
    thing = work.after(key, MaterializedView)
    again = key in work.rebuilt
    # What could be read before must be readable afterwards, whatever state the goal's rows are in.
    filled = thing.populated or (again and work.before(key, MaterializedView).populated)
    method = f" USING {quote(thing.access_method)}" if thing.access_method else ""
    options = f" WITH ({options_sql(thing.options)})" if thing.options else ""
    hazards: tuple[Hazard, ...] = ()
    if again and filled:
        size = f"{work.rows(key)}, {work.base.sizes.get(key, (0, 0))[0]:,} bytes"
        hazards = (
            hazard("blocks_reads", key.name, f"queries on {key.name} wait until it is built ({size})"),
        )
    why = f"create {key}" + (" in its new form" if again else "")
    return work.step(
        key, Phase.ATTACH,
        f"CREATE MATERIALIZED VIEW {key.name}{method}{options} AS\n{thing.definition}\n"
        f"WITH {'' if filled else 'NO '}DATA",
        why if filled else f"{why}, without rows: it can be read after its first REFRESH",
        work.making(key), tables=[key] if again else [], lock=LockMode.ACCESS_EXCLUSIVE, heavy=True, hazards=hazards,
    )  # fmt: skip


def _drop(work: Work, key: Key) -> Step:
    again = key in work.rebuilt
    broken = hazard("breaks_running_code", key.name, f"code that still uses {key.name} fails from here on")
    return work.step(
        key, Phase.TAKE_DOWN if again else Phase.DROP, f"DROP MATERIALIZED VIEW {key.name}",
        f"drop {key}" + (", to make it again in its new form" if again else ", which the goal does not have"),
        work.dropping(key), tables=[key], lock=LockMode.ACCESS_EXCLUSIVE, hazards=() if again else (broken,),
    )  # fmt: skip


def _altered(work: Work, key: Key) -> Iterator[Step]:
    before, after = work.before(key, MaterializedView), work.after(key, MaterializedView)
    alter = f"ALTER MATERIALIZED VIEW {key.name}"
    if before.access_method != after.access_method:
        yield work.step(
            key, Phase.CHANGE, f"{alter} SET ACCESS METHOD {quote(after.access_method or 'heap')}",
            f"change the access method of {key}", work.changing(key), tables=[key],
            lock=LockMode.ACCESS_EXCLUSIVE, heavy=True,
            hazards=(
                hazard("rewrites_table", key.name, f"{key.name} is written again ({work.rows(key)})"),
                hazard("blocks_reads", key.name, f"queries on {key.name} wait until it is written"),
            ),
        )  # fmt: skip
    for change in options_changes(before.options, after.options):
        yield work.step(
            key, Phase.CHANGE, f"{alter} {change}", f"change storage parameters of {key}", work.changing(key),
            tables=[key], lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        )  # fmt: skip
    yield from _columns(work, key, before.column_settings, after.column_settings)
    yield from _clustered(work, key, before.clustered_on, after.clustered_on)


def _columns(
    work: Work, key: Key, before: tuple[tuple[str, str, str], ...], after: tuple[tuple[str, str, str], ...]
) -> Iterator[Step]:
    types = dict(work.after(key, MaterializedView).columns)
    for column in sorted({each[0] for each in (*before, *after)}):
        old, new = (tuple(each[1:] for each in side if each[0] == column) for side in (before, after))
        for change in setting_changes(old, new, types.get(column, "")):
            yield work.step(
                key, Phase.FINISH, f"ALTER MATERIALIZED VIEW {key.name} ALTER COLUMN {quote(column)} {change}",
                f"change how column {column} of {key} is stored or measured", wants=[ready(key)], tables=[key],
                lock=LockMode.ACCESS_EXCLUSIVE,
            )  # fmt: skip


def _chosen(work: Work, key: Key) -> Key:
    """The index that CLUSTER uses on the goal."""
    return Key("index", (key.path[0], work.after(key, MaterializedView).clustered_on or ""))


def _clustered(work: Work, key: Key, before: str | None, after: str | None) -> Iterator[Step]:
    index = _chosen(work, key)
    if before == after and index not in work.rebuilt:
        return
    change = f"CLUSTER ON {quote(after)}" if after else "SET WITHOUT CLUSTER"
    yield work.step(
        key, Phase.FINISH, f"ALTER MATERIALIZED VIEW {key.name} {change}",
        f"change which index CLUSTER uses on {key}", tables=[key], lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        wants=[ready(key), *([ready(index)] if after else [])],
    )  # fmt: skip
