"""Inspect two databases at once, and closely only where they differ. Only reads; decides nothing.

What is equal in both by its facts (facts.py) and stands on nothing that differs is left out of both snapshots: no plan
between them would ever touch it.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from orchestrator.database import Connection
from orchestrator.postgres.assemble import Assembly
from orchestrator.postgres.facts import (
    BELONGING,
    WHOLE,
    facts_query,
    helpers_query,
    narrowed,
    needed_query,
    reached_query,
)
from orchestrator.postgres.inspect import QUERIES, everything
from orchestrator.postgres.reading import ATTEMPTS, Reading, query, without_cycles
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import diff

Path = tuple[str, str]
T = TypeVar("T")

#: Where a larger share of the relations must be looked at closely, looking at all of them is quicker.
MOST = 0.5

#: The fewest relations that are worth the questions which it takes to leave some out.
FEWEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What one side's relations are: facts by path, and the oids behind each path (an identity has a second one)."""

    facts: Mapping[Path, tuple[str, ...]]
    oids: Mapping[Path, tuple[int, ...]]
    paths: Mapping[int, Path]


def inspect_pair(
    base: Connection, goal: Connection, *, fewest: int = FEWEST, most: float = MOST
) -> tuple[Snapshot, Snapshot]:
    """Read both catalogues at once, each in one repeatable-read, read-only transaction.

    Between the two snapshots there are the same differences, and the same plan, as between those of ``inspect``; but
    they are not whole where much is equal, and then have no fingerprint.

    Args:
        base: where the plan starts; not inside a transaction.
        goal: where it leads; not inside a transaction.
        fewest: with fewer relations than this on both sides everything is read.
        most: where a larger share of them must be looked at closely everything is read.

    Raises:
        LockNotAcquired: somebody holds an object of a catalogue under a strong lock.
        StatementFailed: a server refused a catalogue query; says which.
        DatabaseUnreachable: a connection was lost.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        for attempt in range(1, ATTEMPTS + 1):
            both = Reading(base), Reading(goal)
            try:
                with without_cycles(), both[0].open(), both[1].open():
                    return _Pair(both, pool).read(fewest, most)
            except psycopg.Error as error:
                next((each for each in both if each.failed), both[0]).explain(error, attempt)
    raise AssertionError("unreachable")


class _Pair:
    """One reading of both sides; first the base, then the goal."""

    def __init__(self, both: tuple[Reading, Reading], pool: ThreadPoolExecutor) -> None:
        self._both = both
        self._pool = pool

    def read(self, fewest: int, most: float) -> tuple[Snapshot, Snapshot]:
        counts = self._at_once(_count)
        unknown = set(QUERIES) - BELONGING.keys() - WHOLE
        if max(counts) < fewest or unknown:
            return self._whole()
        known = self._facts()
        total = len(known[0].facts.keys() | known[1].facts.keys())
        differing = {
            path
            for path in known[0].facts.keys() | known[1].facts.keys()
            if known[0].facts.get(path) != known[1].facts.get(path)
        }
        seeds = {(int(self._pg_class), oid) for path in differing for oid in known[0].oids.get(path, ())}
        chosen = differing | self._with_helpers(known)
        while len(chosen) <= total * most:
            chosen |= self._standing_on(seeds, known[0])
            chosen |= self._named_by(chosen, known)
            first, second = self._assemblies(chosen, known)
            base, goal = first.snapshot(whole=False), second.snapshot(whole=False)
            # What is no relation was compared only now: who stands on it must be looked at closely, too.
            found = diff(base, goal)
            keys = found.changed | found.dropped
            more = {address[:2] for address, key in first.address.items() if key in keys} - seeds
            if not more or self._standing_on(more, known[0]) <= chosen:
                return base, goal
            seeds |= more
        return self._whole()

    def _at_once(self, ask: Callable[[Reading], T]) -> tuple[T, T]:
        first, second = self._pool.map(ask, self._both)
        return first, second

    def _whole(self) -> tuple[Snapshot, Snapshot]:
        first, second = self._at_once(everything)
        return Assembly(first).snapshot(), Assembly(second).snapshot()

    def _facts(self) -> tuple[_Known, _Known]:
        numbers = self._at_once(lambda reading: reading.tuples("numbering", query("numbering")))
        names = [name for name, each in BELONGING.items() if each.compared]
        columns = {name: self._both[0].columns(name) for name in names}
        text = facts_query(columns, same_numbers=numbers[0] == numbers[1])
        first, second = self._at_once(lambda reading: _known(reading.tuples("facts", text)))
        self._pg_class = self._both[0].tuples("catalogs", "select 'pg_class'::regclass::oid::int8")[0][0]
        return first, second

    def _with_helpers(self, known: tuple[_Known, _Known]) -> set[Path]:
        """The paths of all relations in which an interrupted run left something, on either side."""
        rows = self._at_once(lambda reading: reading.tuples("helpers", helpers_query()))
        return {
            side.paths[oid]
            for found, side in zip(rows, known, strict=True)
            for (oid,) in found
            if oid in side.paths
        }

    def _standing_on(self, seeds: Iterable[tuple[int, int]], known: _Known) -> set[Path]:
        """The paths of all relations of the base that stand on these addresses."""
        rows = self._both[0].tuples("reached", reached_query(seeds))
        return {known.paths[oid] for (oid,) in rows if oid in known.paths}

    def _named_by(self, chosen: Iterable[Path], known: tuple[_Known, _Known]) -> set[Path]:
        """The paths of all relations that these name, on either side."""
        found: set[Path] = set()
        for reading, side in zip(self._both, known, strict=True):
            rows = reading.tuples("needed", needed_query(_oids(chosen, side)))
            found |= {side.paths[oid] for (oid,) in rows if oid in side.paths}
        return found

    def _assemblies(self, chosen: Iterable[Path], known: tuple[_Known, _Known]) -> tuple[Assembly, Assembly]:
        paths = sorted(chosen)
        pairs = list(zip(self._both, known, strict=True))

        def rows(pair: tuple[Reading, _Known]) -> dict[str, list[dict[str, Any]]]:
            return everything(pair[0], narrowed(_oids(paths, pair[1])))

        first, second = self._pool.map(rows, pairs)
        return Assembly(first), Assembly(second)


def _oids(paths: Iterable[Path], known: _Known) -> list[int]:
    return [oid for path in paths for oid in known.oids.get(path, ())]


def _count(reading: Reading) -> int:
    text = "select count(*) from pg_class where oid >= 16384 and relkind in ('r', 'p', 'v', 'm', 'f', 'c')"
    return int(reading.tuples("counting", text)[0][0])


def _known(rows: Iterable[tuple[Any, ...]]) -> _Known:
    facts: dict[Path, list[str]] = {}
    oids: dict[Path, list[int]] = {}
    paths: dict[int, Path] = {}
    for oid, schema, name, said in rows:
        path = (schema, name)
        facts.setdefault(path, []).append(said)
        oids.setdefault(path, []).append(oid)
        paths[oid] = path
    return _Known(
        facts={path: tuple(sorted(said)) for path, said in facts.items()},
        oids={path: tuple(found) for path, found in oids.items()},
        paths=paths,
    )
