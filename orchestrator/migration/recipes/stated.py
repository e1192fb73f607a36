"""Policies, rules, statistics and what else one statement says: create, make again, drop. Pure: no I/O of any kind."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.plan import Hazard
from orchestrator.migration.recipes.views import grants
from orchestrator.migration.step import Phase, Step, Token, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import TYPES, Key
from orchestrator.schema.objects import Stated

#: The lock that making, and dropping, one takes on its relation (Postgres docs, 13.3).
_LOCKS = {
    "policy": (LockMode.ACCESS_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE),
    "rule": (LockMode.ACCESS_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE),
    "statistics": (LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE_UPDATE_EXCLUSIVE),
}

#: What makes code fail, or do something else, once it is gone.
_USED = frozenset({"aggregate", "policy", "rule"})


def steps(work: Work) -> Iterator[Step]:
    """Steps for every object of these kinds that differs."""
    for key in sorted(work.makes):
        thing = work.goal.objects[key]
        if isinstance(thing, Stated) and key.kind not in TYPES:
            yield from _made(work, key, thing)
    for key in sorted(work.drops):
        thing = work.base.objects[key]
        if isinstance(thing, Stated) and key.kind not in TYPES and not work.goes_along(key):
            again = key in work.rebuilt
            lost: list[Hazard] = []
            if key.kind in _USED and not again:
                lost.append(
                    hazard("breaks_running_code", str(key), f"code that counts on {key} fails from here on")
                )
            yield work.step(
                key, Phase.TAKE_DOWN if again else Phase.DROP, f"DROP {thing.noun} {thing.called}",
                f"drop {key}" + (", to make it again in its new form" if again else ", which the goal does not have"),
                work.dropping(key), tables=[thing.of] if thing.of else [], hazards=tuple(lost),
                lock=_LOCKS.get(key.kind, (LockMode.NONE, LockMode.NONE))[1],
            )  # fmt: skip


def _made(work: Work, key: Key, thing: Stated) -> Iterator[Step]:
    lock = _LOCKS.get(key.kind, (LockMode.NONE, LockMode.NONE))[0]
    tables = [thing.of] if thing.of else []
    gives, wants = work.making(key)
    yield work.step(
        key, Phase.ATTACH if thing.of else Phase.CREATE, thing.create, f"create {key}", (gives, wants),
        tables=tables, lock=lock,
    )  # fmt: skip
    previous: list[Token] = [ready(key)]
    for i, sql in enumerate(thing.after):
        token: Token = ("finished", str(i), key.path)
        yield work.step(
            key, Phase.ATTACH, sql, f"finish {key}", wants=previous, gives=[token], tables=tables, lock=lock
        )
        previous = [token]
    if key in work.rebuilt and key in work.base.privileges:
        yield from grants(work, key, "FUNCTION")
