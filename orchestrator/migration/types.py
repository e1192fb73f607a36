"""Type changes: which cast fits, whether rows are rewritten, whether values can get lost. Pure: no I/O."""

import re
from dataclasses import dataclass

_SHAPE = re.compile(r"^(?P<head>.*?)\((?P<modifiers>[\d,\s-]+)\)(?P<tail>.*)$")

_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_STRINGS = ("text", "character varying", "character", "name", '"char"')
_TIMES = {
    ("date", "timestamp without time zone"),
    ("date", "timestamp with time zone"),
    ("timestamp without time zone", "date"),
    ("timestamp without time zone", "time without time zone"),
    ("timestamp without time zone", "timestamp with time zone"),
    ("timestamp with time zone", "date"),
    ("timestamp with time zone", "time without time zone"),
    ("timestamp with time zone", "time with time zone"),
    ("timestamp with time zone", "timestamp without time zone"),
    ("time without time zone", "interval"),
    ("time without time zone", "time with time zone"),
    ("time with time zone", "time without time zone"),
    ("interval", "time without time zone"),
    ("json", "jsonb"),
    ("jsonb", "json"),
    ("cidr", "inet"),
    ("inet", "cidr"),
    ("bit", "bit varying"),
    ("bit varying", "bit"),
    ("integer", "money"),
    ("bigint", "money"),
    ("numeric", "money"),
    ("money", "numeric"),
}
_EXPLICIT = {
    ("integer", "boolean"),
    ("boolean", "integer"),
    ("integer", "bit"),
    ("bigint", "bit"),
    ("bit", "integer"),
    ("bit", "bigint"),
    ("jsonb", "boolean"),
    *(("jsonb", number) for number in _NUMBERS),
}
#: (from, to) that keep the stored bytes, with any modifiers that do not shrink.
_SAME_BYTES = {("character varying", "text"), ("cidr", "inet"), ("text", "character varying")}
_RANGE = {"smallint": 1, "integer": 2, "bigint": 3, "real": 4, "double precision": 5, "numeric": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeName:
    """A type's text taken apart: ``numeric(8,2)[]`` is numeric, (8, 2), array."""

    name: str
    modifiers: tuple[int, ...] = ()
    array: bool = False

    @classmethod
    def parse(cls, text: str) -> "TypeName":
        """From what format_type() says."""
        array = text.endswith("[]")
        bare = text.removesuffix("[]")
        match = _SHAPE.match(bare)
        if match is None:
            return cls(name=bare, array=array)
        numbers = tuple(int(each) for each in match["modifiers"].split(","))
        return cls(name=(match["head"] + match["tail"]).strip(), modifiers=numbers, array=array)


def using(before: str, after: str, column: str) -> str | None:
    """The USING expression for a change of type; None where PostgreSQL's assignment cast does it.

    An assignment cast is preferred wherever there is one: ``text`` to ``varchar(5)`` then fails on a longer
    value, while an explicit cast would cut it in silence (Postgres docs, 8.3).

    Args:
        before: the type now.
        after: the type wanted.
        column: the column's quoted name.
    """
    old, new = TypeName.parse(before), TypeName.parse(after)
    if old.array == new.array and _assignable(old, new):
        return None
    if old.name in _STRINGS and not old.array:
        return f"{column}::{after}"
    if old.array == new.array and (old.name, new.name) in _EXPLICIT:
        return f"{column}::{after}"
    return f"{column}::text::{after}"


def is_string(text: str) -> bool:
    """Whether values of the type are text, so that what they hold may be no value of another type at all."""
    parsed = TypeName.parse(text)
    return parsed.name in _STRINGS and not parsed.array


def _assignable(old: TypeName, new: TypeName) -> bool:
    if old.name == new.name or new.name in _STRINGS or (old.name, new.name) in _TIMES:
        return True
    return old.name in _NUMBERS and new.name in _NUMBERS


def rewrites(before: str, after: str) -> bool:  # noqa: PLR0911 - one case a line
    """Whether the change writes every row again (measured: reference/migration.md, section 7.3)."""
    old, new = TypeName.parse(before), TypeName.parse(after)
    if old.array != new.array:
        return True
    if (old.name, new.name) in _SAME_BYTES:
        return bool(new.modifiers)
    if old.name != new.name:
        return True
    if old.modifiers == new.modifiers or not new.modifiers:
        return old.name in {"character", "bit"} and old.modifiers != new.modifiers
    if not old.modifiers or old.name in {"character", "bit"}:
        return True
    if old.name == "numeric":
        return not (old.modifiers[1:] == new.modifiers[1:] and new.modifiers[0] >= old.modifiers[0])
    return new.modifiers[0] < old.modifiers[0]


def may_not_fit(before: str, after: str) -> bool:  # noqa: PLR0911 - one case a line
    """Whether some value of the old type is no value of the new one: the cast may fail or lose digits."""
    old, new = TypeName.parse(before), TypeName.parse(after)
    if old.array != new.array:
        return True
    if old.name == new.name:
        return bool(new.modifiers) and not _widens(old, new)
    if new.name == "text":
        return False
    if new.name == "character varying":
        return bool(new.modifiers)
    if old.name in _RANGE and new.name in _RANGE:
        if new.name == "numeric":
            return bool(new.modifiers)
        return _RANGE[new.name] < _RANGE[old.name]
    return (old.name, new.name) not in {
        ("date", "timestamp without time zone"),
        ("date", "timestamp with time zone"),
        ("timestamp without time zone", "timestamp with time zone"),
        ("timestamp with time zone", "timestamp without time zone"),
        ("json", "jsonb"),
        ("jsonb", "json"),
        ("cidr", "inet"),
        ("time without time zone", "interval"),
    }


def _widens(old: TypeName, new: TypeName) -> bool:
    if not old.modifiers:
        return False
    if old.name == "numeric":
        (p, s), (q, t) = (*old.modifiers, 0)[:2], (*new.modifiers, 0)[:2]
        return t >= s and q - t >= p - s
    return new.modifiers[0] >= old.modifiers[0]


#: How PostgreSQL stores values of its own types that can be long, where nobody chose.
_OWN_STORAGE = {"numeric": "MAIN", "inet": "MAIN", "cidr": "MAIN"}
#: Those of them that are EXTENDED.
_LONG = frozenset(
    [
        "text",
        "character varying",
        "character",
        "bytea",
        "json",
        "jsonb",
        "xml",
        "bit",
        "bit varying",
        "tsvector",
        "path",
        "polygon",
        "jsonpath",
    ]
)


def own_storage(text: str) -> str:
    """The type's own STORAGE in a word that every version knows; ``DEFAULT`` (PostgreSQL 16) where only it does."""
    parsed = TypeName.parse(text)
    if parsed.array or parsed.name in _LONG:
        return "EXTENDED"
    return _OWN_STORAGE.get(parsed.name, "DEFAULT")
