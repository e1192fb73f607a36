"""A foreign key of a partitioned table: first on each partition, then the whole takes them over. Pure: no I/O."""

from collections.abc import Iterable, Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.step import Phase, Step, Token
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Constraint


def steps(work: Work, key: Key, thing: Constraint, wants: Iterable[Token]) -> Iterator[Step]:
    """NOT VALID and VALIDATE on each partition that holds rows, which PostgreSQL before 18 refuses on the whole.

    An interrupted run has left some of them: they are facts of their partitions, and what is missing is done.
    """
    for table in work.was.below(key.parent):
        if work.was.is_partitioned(table) or table not in work.will.below(key.parent):
            continue
        name = quote(key.path[-1])
        reference = Key("table", thing.references)
        own = work.base.objects.get(Key("constraint", (*table.path, key.path[-1])))
        if own is not None and not (isinstance(own, Constraint) and own.definition == thing.definition):
            continue  # the name is taken: the whole makes its part there itself
        added: Token = ("added", Key("constraint", (*table.path, key.path[-1])))
        if own is None:
            yield work.step(
                key, Phase.ATTACH, f"ALTER TABLE {table.name} ADD CONSTRAINT {name} {thing.definition} NOT VALID",
                f"add {key} to {table}; existing rows are checked later", tables=[table, reference],
                lock=LockMode.SHARE_ROW_EXCLUSIVE, wants=wants, gives=[added],
            )  # fmt: skip
        if not (isinstance(own, Constraint) and own.validated):
            yield work.step(
                key, Phase.VALIDATE, f"ALTER TABLE {table.name} VALIDATE CONSTRAINT {name}",
                f"check existing rows of {table} against {key}; reads and writes go on", tables=[table],
                lock=LockMode.SHARE_UPDATE_EXCLUSIVE, wants=[added, ("mended", key)], gives=[("checked", key)],
                alone=True, hazards=(hazard("scans_table", table.name, f"{table.name} is read"),),
            )  # fmt: skip
