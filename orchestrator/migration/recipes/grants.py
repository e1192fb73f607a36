"""GRANT, REVOKE and ALTER DEFAULT PRIVILEGES for what must become of one thing's grants. Pure: no I/O of any kind."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orchestrator.migration.hazards import hazard
from orchestrator.migration.plan import Hazard
from orchestrator.migration.step import Phase, Step, Token, ready
from orchestrator.migration.work import Work
from orchestrator.schema.names import TYPES, Key, dotted, quote
from orchestrator.schema.objects import Column, Function, Stated
from orchestrator.schema.privileges import EVERYBODY, LETTERS, OWNER, PLAIN, Privileges, identity_sequence

Item = tuple[str, str]

_DEFAULTS = {
    "r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS", "L": "LARGE OBJECTS",
}  # fmt: skip
_GRANTED_ON = {
    "sequence": "SEQUENCE", "identity sequence": "SEQUENCE", "aggregate": "FUNCTION", "schema": "SCHEMA",
    "system function": "FUNCTION",
    "language": "LANGUAGE", "foreign-data wrapper": "FOREIGN DATA WRAPPER", "server": "FOREIGN SERVER",
}  # fmt: skip

_COLUMNS = frozenset({"column", "system column"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What must become of owner and grants of one thing.

    Attributes:
        key: of the thing, also of one that is no object (default privileges, columns of views).
        after: the object that must be there before, or None.
        new: it is made by this plan.
        was: what it has, or will have when it is made.
        will: what it should have.
    """

    key: Key
    after: Key | None
    new: bool
    was: Privileges
    will: Privileges


def gained(change: Change) -> list[Item]:
    """What must be granted, also with a grant option that it had not."""
    was, will = change.was.options, change.will.options
    new = [item for item, option in will.items() if item not in was or (option and not was[item])]
    return sorted({*new, *(item for item in change.was.revoked if item not in (*change.will.revoked, *was))})


def lost(change: Change) -> list[Item]:
    """What must be revoked altogether."""
    was, will = change.was.options, change.will.options
    return sorted(
        {*(item for item in was if item not in will), *(set(change.will.revoked) - set(change.was.revoked))}
    )


def grants(work: Work, change: Change, again: list[Item]) -> Iterator[Step]:
    """GRANT and REVOKE for one thing; ``again``: what a REVOKE on its table takes from this column too."""
    key, will = change.key, change.will.options
    on = f"{_on(work, key)} {_subject(work, key)}"
    tokens: list[Token] = [*([ready(change.after)] if change.after is not None else []), ("owner", key)]
    revoked: Token = ("revoked", "table", key.path[:2])
    column = f" ({quote(key.path[-1])})" if key.kind in _COLUMNS else ""
    phase = Phase.TAKE_DOWN if change.new else Phase.FINISH
    anchor = change.after or key
    for what, grantee, names in _takings(change):
        # Whom a grantee with grant option granted to loses it too, and gets it again below.
        passed = any(change.was.options.get((name, grantee)) for name in names)
        cascade = " CASCADE" if passed else ""
        yield work.step(
            anchor, phase,
            f"REVOKE {what}{_list(names, column)} ON {on} FROM {_role(change, grantee)}{cascade}",
            f"{_who(grantee)} may not {'pass on ' if what else ''}{', '.join(names)} on {key}",
            wants=tokens, gives=[revoked] if not column else [],
            hazards=_taking(change, grantee, names) if not change.new else (),
        )  # fmt: skip
    given = {*gained(change), *(item for item in again if item in will)}
    passed_on = {name for name, grantee in _taken(change) if change.was.options.get((name, grantee))}
    given |= {item for item in will if item[0] in passed_on}
    for option in (False, True):
        for grantee, names in _by_grantee(item for item in given if will.get(item, False) is option):
            passing = " WITH GRANT OPTION" if option else ""
            yield work.step(
                anchor, phase, f"GRANT {_list(names, column)} ON {on} TO {_role(change, grantee)}{passing}",
                f"{_who(grantee)} may {', '.join(names)} on {key}" + (", and let others" if option else ""),
                wants=[*tokens, revoked], hazards=_opening(work, key, grantee, names),
            )  # fmt: skip


def defaults(work: Work, change: Change) -> Iterator[Step]:
    """ALTER DEFAULT PRIVILEGES, when everything is made that main's present ones are for."""
    role, schema, letter = change.key.path
    if letter not in _DEFAULTS:
        return
    whose = f" FOR ROLE {role}" if role else ""
    where = f" IN SCHEMA {quote(schema)}" if schema else ""
    head, noun, owner = f"ALTER DEFAULT PRIVILEGES{whose}{where}", _DEFAULTS[letter], role or "CURRENT_USER"
    new = f"on new {noun.lower()}" + (f" of schema {schema}" if schema else "")
    wants = [ready(key) for key in sorted(work.makes) if key.kind in LETTERS]
    revoked: Token = ("revoked", "defaults", change.key.path)
    for what, grantee, names in _takings(change):
        yield work.step(
            change.key, Phase.FINISH, f"{head} REVOKE {what}{', '.join(names)} ON {noun} FROM {grantee or owner}",
            f"{_who(grantee)} may not {'pass on ' if what else ''}{', '.join(names)} {new}", wants=wants,
            gives=[revoked],
        )  # fmt: skip
    will = change.will.options
    for option in (False, True):
        for grantee, names in _by_grantee(item for item in gained(change) if will.get(item, False) is option):
            passing = " WITH GRANT OPTION" if option else ""
            yield work.step(
                change.key, Phase.FINISH, f"{head} GRANT {', '.join(names)} ON {noun} TO {grantee or owner}{passing}",
                f"{_who(grantee)} may {', '.join(names)} {new}", wants=[*wants, revoked],
                hazards=_opening(work, change.key, grantee, names),
            )  # fmt: skip


def _shorter(change: Change) -> list[Item]:
    """What keeps the privilege and loses the grant option."""
    will = change.will.options
    return sorted(item for item, option in change.was.options.items() if option and will.get(item) is False)


def _taken(change: Change) -> set[Item]:
    return {*lost(change), *_shorter(change)}


def _takings(change: Change) -> list[tuple[str, str, list[str]]]:
    """What follows REVOKE, from whom, which privileges."""
    whole = [("", grantee, names) for grantee, names in _by_grantee(lost(change))]
    return whole + [("GRANT OPTION FOR ", grantee, names) for grantee, names in _by_grantee(_shorter(change))]


def _by_grantee(items: Iterable[Item]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for privilege, grantee in sorted(items):
        found.setdefault(grantee, []).append(privilege)
    return sorted(found.items())


def _list(names: list[str], column: str) -> str:
    return ", ".join(f"{name}{column}" for name in names)


def _role(change: Change, grantee: str) -> str:
    """A grantee as SQL; the owner by name."""
    return grantee or change.will.owner or "CURRENT_USER"


def _who(grantee: str) -> str:
    return {EVERYBODY: "everybody", OWNER: "the owner", "CURRENT_USER": "the role that migrates"}.get(
        grantee, grantee
    )


def _taking(change: Change, grantee: str, names: list[str]) -> tuple[Hazard, ...]:
    detail = f"code of {_who(grantee)} that needs {', '.join(names)} on {change.key} fails from here on"
    return (hazard("breaks_running_code", str(change.key), detail),)


def _opening(work: Work, key: Key, grantee: str, names: list[str]) -> tuple[Hazard, ...]:
    had = work.base.privileges.get(key, PLAIN)
    new = [name for name in names if (name, grantee) not in had.options]
    if grantee != EVERYBODY or not new:
        return ()
    return (hazard("opens_to_everybody", str(key), f"every role may {', '.join(new)} on {key}"),)


def _on(work: Work, key: Key) -> str:
    """What GRANT calls its kind."""
    thing = work.goal.objects.get(key)
    if isinstance(thing, Function):
        return thing.routine.upper()
    if key.kind in TYPES or key.kind == "base type":
        return "TYPE"
    return _GRANTED_ON.get(key.kind, "TABLE")


def _subject(work: Work, key: Key) -> str:
    """What GRANT calls it."""
    if key.kind in _COLUMNS:
        return dotted(*key.path[:2])
    if key.kind == "system function":
        return f"{dotted(*key.path[:2])}({key.path[2]})"
    if key.kind == "identity sequence":
        return identity_sequence(work.after(Key("column", key.path), Column))
    return name_of(work, key)


def name_of(work: Work, key: Key) -> str:
    """A thing as ALTER and GRANT name it."""
    thing = work.goal.objects.get(key)
    if isinstance(thing, Stated):
        return thing.called
    return key.name if "(" in key.name else dotted(*key.path)
