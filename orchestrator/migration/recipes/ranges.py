"""Range types: create, drop, and make again beside the old form, which steps aside with all its names. Pure: no I/O."""

import re
from collections.abc import Iterator

from orchestrator.migration.recipes.named_types import aside, left, made, swapped
from orchestrator.migration.step import Phase, Step, Token, gone
from orchestrator.migration.work import Work, slots_of
from orchestrator.schema.names import Key, dotted, quote
from orchestrator.schema.objects import Stated

_SUBTYPE = re.compile(r"\(SUBTYPE = (.*?), SUBTYPE_OPCLASS = ")


def refused(work: Work, key: Key) -> str | None:
    """A canonical function takes the type itself, so it can neither stay nor be made first."""
    if key.kind == "range type" and " CANONICAL = " in work.after(key, Stated).create:
        return f"{key} must be made again, and it has a canonical function"
    return None


def steps(work: Work) -> Iterator[Step]:
    """Steps for every range type that differs."""
    for key in sorted(work.makes):
        if key.kind == "range type":
            if key in work.rebuilt:
                yield from _steps_aside(work, key)
            yield from made(work, key, work.after(key, Stated).create)
    for key in sorted(work.drops):
        if key.kind == "range type":
            if key in work.exchanged:
                yield from _steps_aside(work, key)
            yield from left(work, key, "TYPE")


def _steps_aside(work: Work, key: Key) -> Iterator[Step]:
    """The type, its multirange type and the functions that make values of both give their names free."""
    if not swapped(work, key):
        return
    thing = work.before(key, Stated)
    schema, name = key.path
    helper, multirange = aside(key), thing.more_names[0]
    helpers = f"{helper}_m"
    found = _SUBTYPE.search(thing.create)
    assert found is not None, key  # noqa: S101 - the catalogue query writes it so
    subtype = found[1]
    old = dotted(schema, helper)
    statements = [
        f"ALTER TYPE {key.name} RENAME TO {quote(helper)}",
        f"ALTER TYPE {dotted(schema, multirange)} RENAME TO {quote(helpers)}",
    ]
    makers = [
        (name, f"({subtype}, {subtype})", helper),
        (name, f"({subtype}, {subtype}, text)", helper),
        (multirange, "()", helpers),
        (multirange, f"({old})", helpers),
        (multirange, f"({old}[])", helpers),
    ]
    statements += [
        f"ALTER FUNCTION {dotted(schema, function)}{arguments} RENAME TO {quote(new)}"
        for function, arguments, new in makers
    ]
    previous: list[Token] = [
        gone(each)
        for each in work.base.users.get(key, ())
        if each in work.drops
        and Key("column", each.path) not in work.retyped
        and each.kind != "composite type"
    ]
    for i, sql in enumerate(statements):
        token: Token = ("aside", str(i), key.path)
        last = i == len(statements) - 1
        yield work.step(
            key, Phase.TAKE_DOWN, sql, f"{key} steps aside while its columns move to its new form",
            gives=[token, *([("away", key), *slots_of(work.base, key)] if last else [])], wants=previous,
        )  # fmt: skip
        previous = [token]
