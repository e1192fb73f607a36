"""Owners and grants: what one side has, what is wanted of it, and how they differ. Pure: no I/O of any kind.

Everything is said as a difference to what PostgreSQL gives by itself (acldefault()), and the role that inspects is
nobody's name: an object of the migrating role is equal on both sides whatever that role is called there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.schema.names import Key, dotted
from orchestrator.schema.objects import Column

#: Grantees as SQL that are no role's name.
OWNER = ""
EVERYBODY = "PUBLIC"
NO_NAMES = frozenset({OWNER, EVERYBODY, "CURRENT_USER"})


class Compare(StrEnum):
    """How much of the goal's owners and grants counts.

    ``ignore``: nothing; what is made again keeps what it had.
    ``add``: what the goal grants is granted; nothing is taken away on main, and owners stay.
    ``all``: owners and grants become those of the goal.
    """

    IGNORE = "ignore"
    ADD = "add"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Privileges:
    """Owner and grants of something, as far as they are not what PostgreSQL gives by itself.

    Attributes:
        owner: the role as SQL; empty for the role that inspected.
        granted: privilege, grantee as SQL (empty for the owner), grant option; sorted.
        revoked: what PostgreSQL gives by itself and somebody took away: privilege, grantee; sorted.
    """

    owner: str = OWNER
    granted: tuple[tuple[str, str, bool], ...] = ()
    revoked: tuple[tuple[str, str], ...] = ()

    @property
    def options(self) -> dict[tuple[str, str], bool]:
        """Grant option by privilege and grantee."""
        return {(privilege, grantee): option for privilege, grantee, option in self.granted}


#: What nobody granted anything of, and what belongs to the role that migrates.
PLAIN = Privileges()

#: PostgreSQL's own, which only superusers can grant on: what is said of them is a difference to a new database's.
SYSTEM = frozenset({"system relation", "system column", "system function"})

#: Kinds to default privileges' letters (pg_default_acl.defaclobjtype).
LETTERS = {
    "table": "r", "view": "r", "materialized view": "r", "foreign table": "r", "partitioned table": "r",
    "sequence": "S", "identity sequence": "S", "function": "f", "aggregate": "f", "enum": "T", "domain": "T",
    "composite type": "T", "range type": "T", "base type": "T", "schema": "n",
}  # fmt: skip


def fresh(found: Mapping[Key, Privileges], key: Key) -> Privileges:
    """What an object has when the migrating role makes it: its default privileges, for all and for the schema."""
    letter = LETTERS.get(key.kind)
    if letter is None:
        return PLAIN
    everywhere = found.get(default_key(OWNER, "", letter), PLAIN)
    here = found.get(default_key(OWNER, key.path[0], letter), PLAIN) if letter != "n" else PLAIN
    return Privileges(
        granted=_united(everywhere, here),
        revoked=tuple(each for each in everywhere.revoked if each not in here.options),
    )


def default_key(role: str, schema: str, letter: str) -> Key:
    """The key of default privileges: of whose objects, in which schema (or empty), of which kind."""
    return Key("default privileges", (role, schema, letter))


def wanted(was: Privileges, will: Privileges, compare: Compare) -> Privileges:
    """What main should come to have, when it has ``was`` and the goal has ``will``."""
    if compare is Compare.IGNORE:
        return was
    if compare is Compare.ALL:
        return will
    granted = _united(was, will)
    there = {(privilege, grantee) for privilege, grantee, _ in granted}
    return Privileges(
        owner=was.owner, granted=granted, revoked=tuple(each for each in was.revoked if each not in there)
    )


def wanted_of_new(given: Privileges, will: Privileges, compare: Compare) -> Privileges:
    """What a new object should have, to which main's default privileges give ``given``."""
    if compare is Compare.ADD:
        # Whoever main gives new objects to keeps them; what the goal keeps from everybody is kept from everybody.
        return Privileges(
            granted=_united(given, will), revoked=tuple(sorted({*given.revoked, *will.revoked}))
        )
    return given if compare is Compare.IGNORE else will


def _united(one: Privileges, other: Privileges) -> tuple[tuple[str, str, bool], ...]:
    options = dict(one.options)
    for item, option in other.options.items():
        options[item] = options.get(item, False) or option
    return tuple(sorted((*item, option) for item, option in options.items()))


def differing(
    base: Mapping[Key, Privileges], goal: Mapping[Key, Privileges], compare: Compare
) -> Iterator[tuple[Key, Privileges, Privileges]]:
    """What main has and what it should have, for everything of which these are not equal."""
    for key in sorted(base.keys() | goal.keys()):
        was = base.get(key, PLAIN)
        will = wanted(was, goal.get(key, PLAIN), compare)
        if was != will:
            yield key, was, will


def identity_sequence(column: Column) -> str:
    """The qualified name of an identity column's sequence, as SQL."""
    options = dict(column.identity_sequence)
    return dotted(options["schema"], options["name"])
