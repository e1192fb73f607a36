"""Tables: create with all that belongs inside, change their attributes, drop. Pure: no I/O of any kind."""

from collections.abc import Iterator

from orchestrator.migration.hazards import hazard
from orchestrator.migration.locks import LockMode
from orchestrator.migration.recipes import kept
from orchestrator.migration.recipes.columns import column_sql, declared_default
from orchestrator.migration.step import Phase, Step, Token, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Column, Constraint, Default, Pairs, Table, table_of


def options_sql(options: Pairs) -> str:
    """Storage parameters as SQL: ``fillfactor='70', toast.autovacuum_enabled='false'``."""
    return ", ".join(f"{dotted(*name.split('.'))}={literal(value).strip()}" for name, value in options)


def options_changes(before: Pairs, after: Pairs) -> list[str]:
    """SET and RESET clauses that lead from one set of storage parameters to another."""
    old, new = dict(before), dict(after)
    changed = tuple((name, value) for name, value in after if old.get(name) != value)
    reset = [dotted(*name.split(".")) for name in old if name not in new]
    return [f"SET ({options_sql(changed)})"] * bool(changed) + [f"RESET ({', '.join(reset)})"] * bool(reset)


def folded(work: Work, table: Key) -> list[Key]:
    """Members of a new table that its CREATE TABLE statement makes: columns, defaults, keys and checks."""
    # A key of a partitioned table is made later, ONLY there: its parts below have names and forms of their own.
    kinds = {"check"} if work.will.is_partitioned(table) else {"primary", "unique", "check", "exclusion"}
    found = []
    columns: set[tuple[str, ...]] = set()
    for key in work.goal.members(table):
        thing = work.goal.objects[key]
        plain = isinstance(thing, Column) and (thing.generated is None or bool(work.will.above(key)))
        ruled = isinstance(thing, Constraint) and thing.type in kinds and thing.validated
        if ruled and isinstance(thing, Constraint) and thing.type in {"primary", "unique"}:
            # Of two keys over the same columns PostgreSQL makes only one inside of CREATE TABLE.
            ruled = thing.columns not in columns
            columns.add(thing.columns)
        if plain or (table not in work.bare and (isinstance(thing, (Column, Default)) or ruled)):
            found.append(key)
    return found


def steps(work: Work) -> Iterator[Step]:
    """Steps for every table that differs (not for its members)."""
    for key in sorted(work.found.added):
        if key.kind == "table":
            yield _create(work, key)
            yield from _attributes(work, key, Table(key=key), work.after(key, Table), new=True)
    for key in sorted({each for each in work.found.changed if each.kind == "table"} | _chosen_again(work)):
        yield from _attributes(work, key, work.before(key, Table), work.after(key, Table), new=False)
    for key in sorted(work.found.dropped):
        if key in work.aside.emptied:
            yield work.step(
                key, Phase.ATTACH, f"DROP TABLE {key.name}", f"the rows of {key} are in the new table",
                work.dropping(key), tables=[key, *(Key("table", path) for path in work.was.parents(key.path))],
                lock=LockMode.ACCESS_EXCLUSIVE,
            )  # fmt: skip
        elif key.kind == "table" and (keeps := kept.keeps(work, key)):
            yield from kept.table(work, key, keeps)
        elif key.kind == "table":
            yield work.step(
                key,
                Phase.DROP,
                f"DROP TABLE {key.name}",
                f"drop {key}, which the goal does not have",
                work.dropping(key),
                tables=[key, *(Key("table", path) for path in work.was.parents(key.path))],
                lock=LockMode.ACCESS_EXCLUSIVE,
                hazards=(
                    hazard("deletes_data", key.name, f"{key} goes with its rows{kept.why_not(work, key)}"),
                    hazard(
                        "breaks_running_code", key.name, f"code that still uses {key.name} fails from here on"
                    ),
                ),
                probes=(work.probing(key).rows(),),
            )


def _create(work: Work, key: Key) -> Step:
    thing = work.after(key, Table)
    members = folded(work, key)
    lines = [
        column_sql(
            column,
            declared_default(work, column),
            not_null=column.not_null_local or not thing.inherits,
            computed=all(
                work.after(each, Column).generated != column.generated for each in work.will.above(column.key)
            ),
        )
        for column in work.goal.columns_of(key)
        if column.key in members and column.local
    ]
    for member in members:
        inner = work.goal.objects[member]
        if isinstance(inner, Constraint):
            lines.append(f"CONSTRAINT {quote(member.path[-1])} {inner.definition}")
    body = "".join(f"\n    {line}" + ("," if i < len(lines) - 1 else "\n") for i, line in enumerate(lines))
    kind = "UNLOGGED TABLE" if thing.unlogged else "TABLE"
    extra = f" INHERITS ({', '.join(dotted(*path) for path in thing.inherits)})" if thing.inherits else ""
    extra += f" PARTITION BY {thing.partition_key}" if thing.partition_key else ""
    extra += f" USING {quote(thing.access_method)}" if thing.access_method else ""
    extra += f" WITH ({options_sql(thing.options)})" if thing.options else ""
    above = [each for path in thing.inherits for each in work.goal.members(Key("table", path))]
    return work.step(
        key,
        Phase.CREATE,
        f"CREATE {kind} {key.name} ({body}){extra}",
        f"create {key}",
        work.making(key, *members),
        wants=[ready(each) for each in above if each.kind in {"column", "default"}],
        tables=[Key("table", path) for path in thing.inherits],
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
    )


def _attributes(work: Work, key: Key, before: Table, after: Table, *, new: bool) -> Iterator[Step]:
    alter = f"ALTER TABLE {key.name}"
    if before.unlogged != after.unlogged and not new:
        word = "UNLOGGED" if after.unlogged else "LOGGED"
        why = "its rows are lost in a crash" if after.unlogged else "its rows survive a crash"
        yield work.step(
            key, Phase.CHANGE, f"{alter} SET {word}", f"make {key} {word.lower()}: {why}", work.changing(key),
            tables=[key], lock=LockMode.ACCESS_EXCLUSIVE, heavy=True,
            hazards=(
                hazard("rewrites_table", key.name, f"{key.name} is written again"),
                hazard("blocks_reads", key.name, f"queries on {key.name} wait until it is written"),
            ),
        )  # fmt: skip
    if before.access_method != after.access_method and not new:
        method = after.access_method or "heap"
        yield work.step(
            key, Phase.CHANGE, f"{alter} SET ACCESS METHOD {quote(method)}", f"store {key} by {method}",
            work.changing(key), tables=[key], lock=LockMode.ACCESS_EXCLUSIVE, heavy=True,
            hazards=(
                hazard("rewrites_table", key.name, f"{key.name} is written again ({work.rows(key)})"),
                hazard("blocks_reads", key.name, f"queries on {key.name} wait until it is written"),
            ),
        )  # fmt: skip
    for change in options_changes(before.options, after.options) if not new else ():
        yield work.step(
            key, Phase.CHANGE, f"{alter} {change}", f"change storage parameters of {key}", work.changing(key),
            tables=[key], lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
        )  # fmt: skip
    yield from _row_security(work, key, before, after)
    identity = _index(work, key, after.replica_identity.removeprefix("USING INDEX "))
    if before.replica_identity != after.replica_identity or _again(work, identity):
        yield work.step(
            key, Phase.FINISH, f"{alter} REPLICA IDENTITY {after.replica_identity}",
            f"change the replica identity of {key}", tables=[key], lock=LockMode.ACCESS_EXCLUSIVE,
            wants=[ready(key), *identity],
        )  # fmt: skip
    clustered = _index(work, key, quote(after.clustered_on or ""))
    if before.clustered_on != after.clustered_on or _again(work, clustered):
        chosen = f"CLUSTER ON {quote(after.clustered_on)}" if after.clustered_on else "SET WITHOUT CLUSTER"
        yield work.step(
            key, Phase.FINISH, f"{alter} {chosen}", f"change which index CLUSTER uses on {key}",
            tables=[key], lock=LockMode.SHARE_UPDATE_EXCLUSIVE,
            wants=[ready(key), *clustered],
        )  # fmt: skip


def _row_security(work: Work, key: Key, before: Table, after: Table) -> Iterator[Step]:
    """Switched on only when the policies are there, and off before they go: nobody is locked out for a moment."""
    policies = [ready(each) for each in work.goal.members(key) if each.kind == "policy"]
    changes = []
    if before.row_security != after.row_security:
        changes.append("ENABLE" if after.row_security else "DISABLE")
    if before.row_security_forced != after.row_security_forced:
        changes.append("FORCE" if after.row_security_forced else "NO FORCE")
    for change in changes:
        tighter = change in {"ENABLE", "FORCE"}
        detail = f"whoever no policy of {key.name} lets through sees no rows from here on"
        tight = (hazard("breaks_running_code", key.name, detail),) if not work.is_new(key) else ()
        yield work.step(
            key, Phase.FINISH if tighter else Phase.CHANGE, f"ALTER TABLE {key.name} {change} ROW LEVEL SECURITY",
            f"{change.lower()} row level security on {key}", tables=[key], lock=LockMode.ACCESS_EXCLUSIVE,
            wants=[ready(key), *policies] if tighter else [], hazards=tight if tighter else (),
        )  # fmt: skip


def _index(work: Work, table: Key, quoted: str) -> list[Token]:
    """The token of the index, or of the constraint, that has this quoted name."""
    found = [each for each in work.goal.members(table) if each.kind in {"index", "constraint"}]
    return [ready(each) for each in found if quote(each.path[-1]) == quoted]


def _again(work: Work, tokens: list[Token]) -> bool:
    """Whether the index with these tokens is made again, which loses what the table had chosen it for."""
    return any(ready(key) in tokens for key in work.rebuilt)


def _chosen_again(work: Work) -> set[Key]:
    """Tables of indexes and constraints that are made again."""
    owners = {table_of(work.base.objects[key]) for key in work.rebuilt if key.kind in {"index", "constraint"}}
    return {key for key in owners if key is not None and key.kind == "table" and key in work.goal.objects}
