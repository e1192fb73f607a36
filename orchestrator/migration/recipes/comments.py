"""Comments on everything that has a name. Pure: no I/O of any kind."""

from collections.abc import Iterator

from orchestrator.migration.locks import LockMode
from orchestrator.migration.step import Phase, Step, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Column, Composite, Constraint, Domain, Function, Stated, View
from orchestrator.schema.privileges import identity_sequence

_NOUNS = {"enum": "TYPE", "composite type": "TYPE"}


def _subject(work: Work, key: Key) -> str:
    """How COMMENT ON names the object."""
    if key.kind in {"constraint", "trigger"}:
        return f"{key.kind.upper()} {quote(key.path[-1])} ON {dotted(*key.path[:2])}"
    thing = work.goal.objects[key]
    if isinstance(thing, Stated):
        return f"{thing.noun} {thing.called}"
    if key.kind == "function":
        return f"{work.after(key, Function).routine.upper()} {key.name}"
    return f"{_NOUNS.get(key.kind, key.kind.upper())} {key.name}"


def steps(work: Work) -> Iterator[Step]:
    """A step for every comment that differs or belongs to something new."""
    for key in sorted(work.makes | work.found.changed):
        if key.kind == "default":
            continue
        new = key in work.makes
        before = None if new else work.base.objects[key].comment
        after = work.goal.objects[key].comment
        # CREATE EXTENSION brings a comment of its own.
        if before != after or (new and key.kind == "extension"):
            yield _comment(work, key, _subject(work, key), after)
        thing = work.goal.objects[key]
        yield from _within(work, key, new=new)
        if isinstance(thing, Domain):
            told = {} if new else {name: text for name, _, _, text in work.before(key, Domain).rules}
            for name, _, _, text in thing.rules:
                if told.get(name, "") != text:
                    on = f"CONSTRAINT {quote(name)} ON DOMAIN {key.name}"
                    yield _comment(work, key, on, text or None)
        if isinstance(thing, Composite):
            past = {} if new else {each[0]: each[3] for each in work.before(key, Composite).attributes}
            for attribute, _, _, text in thing.attributes:
                if past.get(attribute, "") != text:
                    yield _comment(work, key, f"COLUMN {dotted(*key.path, attribute)}", text or None)
        if isinstance(thing, View):
            old = {} if new else dict(work.before(key, View).column_comments)
            now = dict(thing.column_comments)
            for name in sorted(old.keys() | now.keys()):
                if old.get(name) != now.get(name) and name in dict(thing.columns):
                    yield _comment(work, key, f"COLUMN {dotted(*key.path, name)}", now.get(name))


def _within(work: Work, key: Key, *, new: bool) -> Iterator[Step]:
    """Comments on the index behind a constraint, and on the sequence of an identity column."""
    thing = work.goal.objects[key]
    past = None if new else work.base.objects[key]
    if isinstance(thing, Constraint):
        index = work.base.objects.get(work.adopted.get(key, key)) if key in work.adopted else None
        was = index.comment if index is not None else getattr(past, "index_comment", None)
        if was != thing.index_comment:
            yield _comment(work, key, f"INDEX {dotted(key.path[0], key.path[-1])}", thing.index_comment)
    elif isinstance(thing, Column) and thing.identity is not None:
        kept = isinstance(past, Column) and past.identity is not None
        was = past.sequence_comment if kept and isinstance(past, Column) else None
        if was != thing.sequence_comment:
            yield _comment(work, key, f"SEQUENCE {identity_sequence(thing)}", thing.sequence_comment)


def _comment(work: Work, key: Key, subject: str, text: str | None) -> Step:
    value = "NULL" if text is None else literal(text).strip()
    on_table = key.kind in {"table", "column", "constraint", "trigger"}
    return work.step(
        key, Phase.FINISH, f"COMMENT ON {subject} IS {value}",
        f"comment on {key}" if text is not None else f"no comment on {key} any more",
        tables=[key if key.kind == "table" else key.parent] if on_table else [],
        lock=LockMode.SHARE_UPDATE_EXCLUSIVE, wants=[ready(key)],
    )  # fmt: skip
