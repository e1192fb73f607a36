"""Views: replaced in place where PostgreSQL allows, else dropped and made again with their grants. Pure: no I/O."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.recipes.tables import options_sql
from orchestrator.migration.step import Phase, Step
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key
from orchestrator.schema.objects import View


def replaceable(before: View, after: View) -> bool:
    """Whether CREATE OR REPLACE VIEW can do it: all old columns stay, in place, with name and type."""
    return after.columns[: len(before.columns)] == before.columns


def steps(work: Work) -> Iterator[Step]:
    """Steps for every view that differs."""
    for key in sorted(work.makes):
        if key.kind == "view":
            # The same text as a replacement in place, so that a resumed plan is a part of the approved one.
            yield _create(work, key, new=True)
    for key in sorted(work.found.changed - work.rebuilt):
        if key.kind == "view":
            before, after = work.before(key, View), work.after(key, View)
            if (before.definition, before.options, before.columns) != (
                after.definition,
                after.options,
                after.columns,
            ):
                yield _create(work, key, new=False)
    for key in sorted(work.drops):
        if key.kind == "view":
            again = key in work.rebuilt
            broken = hazard(
                "breaks_running_code", key.name, f"code that still uses {key.name} fails from here on"
            )
            yield work.step(
                key, Phase.TAKE_DOWN if again else Phase.DROP, f"DROP VIEW {key.name}",
                f"drop {key}" + (", to make it again in its new form" if again else ", which the goal does not have"),
                work.dropping(key), tables=[key], lock=LockMode.ACCESS_EXCLUSIVE, hazards=() if again else (broken,),
            )  # fmt: skip


def _create(work: Work, key: Key, *, new: bool) -> Step:
    thing = work.after(key, View)
    options = f" WITH ({options_sql(thing.options)})" if thing.options else ""
    return work.step(
        key, Phase.ATTACH, f"CREATE OR REPLACE VIEW {key.name}{options} AS\n{thing.definition}",
        f"create {key}" if new else f"replace {key} in place", work.making(key) if new else work.changing(key),
        tables=[] if new else [key], lock=LockMode.ACCESS_EXCLUSIVE,
    )  # fmt: skip
