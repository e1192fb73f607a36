"""Extensions that move to another schema: the base as it would be afterwards. Pure: no I/O of any kind."""

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import fields, replace
from typing import Any

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key, quote
from orchestrator.schema.objects import Extension, Object

_NAMED = re.compile(r'^[a-z ]+ (?:[a-z_]\w*|"(?:[^"]|"")*")\.(?P<name>\w+|"(?:[^"]|"")*"|[^\w\s"(]+)')


def moved(base: Snapshot, goal: Snapshot) -> Snapshot:
    """The base with every relocatable extension in the goal's schema, as far as others name what it holds.

    What an extension holds moves with it, and what uses it follows without any statement. Names in deparsed text
    are exchanged one by one; a wrong guess makes a rebuild, never a wrong equality that the second look would miss.
    The extension itself stays as it was: that it must move is a difference.
    """
    for key in base.of_kind("extension"):
        before, after = base.objects[key], goal.objects.get(key)
        if not isinstance(before, Extension) or not isinstance(after, Extension):
            continue
        if before.schema != after.schema and before.relocatable:
            base = retold(base, set(base.users.get(key, ())), _renaming(before, after.schema), {})
    return base


def _renaming(before: Extension, schema: str) -> Callable[[str], str]:
    names = {match["name"] for each in before.members if (match := _NAMED.match(each))}
    if not names:
        return lambda text: text
    old = re.escape(quote(before.schema))
    choice = "|".join(re.escape(name) for name in sorted(names, key=lambda name: (-len(name), name)))
    pattern = re.compile(rf"(?<![\w.$]){old}\.(?=(?:{choice})(?!\w))")
    new = quote(schema).replace("\\", r"\\")
    return lambda text: pattern.sub(f"{new}.", text)


def retold(base: Snapshot, users: Set[Key], text: Callable[[str], str], named: Mapping[Key, Key]) -> Snapshot:
    """The base with names exchanged in everything that some objects say.

    Args:
        base: the base.
        users: the objects whose texts and keys are told anew.
        text: exchanges names in one text.
        named: objects that have another key afterwards.
    """
    keys = {key: Key(key.kind, tuple(text(part) for part in key.path)) for key in users} | dict(named)

    def of(key: Key) -> Key:
        return keys.get(key, key)

    objects: dict[Key, Object] = {}
    for key, thing in base.objects.items():
        new = _thing(thing, text) if key in users else thing
        objects[of(key)] = replace(new, key=of(key))
    return replace(
        base,
        objects=objects,
        needs={of(key): tuple(sorted(of(each) for each in needed)) for key, needed in base.needs.items()},
        privileges={of(key): each for key, each in base.privileges.items()},
        lineage={of(key): each for key, each in base.lineage.items()},
        sizes={of(key): each for key, each in base.sizes.items()},
    )


def _thing(thing: Object, text: Callable[[str], str]) -> Object:
    changes = {
        each.name: _value(getattr(thing, each.name), text)
        for each in fields(thing)
        if each.compare and each.name not in {"key", "comment"}
    }
    return replace(thing, **changes)


def _value(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, tuple) and not isinstance(value, Key):
        return tuple(_value(each, text) for each in value)
    return value
