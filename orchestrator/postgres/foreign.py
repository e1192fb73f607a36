"""Foreign-data wrappers, servers, mappings and tables as statements; passwords become digests. No I/O."""

import hashlib
import re
from typing import Any

from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import Part, Stated

#: Options of a user mapping that may be shown; every other one may be a credential.
_HARMLESS = frozenset({"user", "username", "password_required", "use_scram_passthrough", "sslmode"})

#: Options of wrappers, servers and tables that may be credentials, by their name or by what is in them.
_SECRET_NAME = re.compile(r"pass|secret|token|key|credential|auth|sslcert", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"://[^/\s]*:[^/\s]*@|password\s*=", re.IGNORECASE)

#: Options that only look like credentials.
_KNOWN = frozenset({"key", "keep_connections", "tokenizer", "keepalives", "keepalives_idle"})


def options_of(row: dict[str, Any], subject: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The options that may be shown, and of the others name and digest.

    The digest is slow to make (scrypt) and salted with what it belongs to, so that a stored one does not give a
    weak password away.
    """
    shown, secret = [], []
    for option in row["options"]:
        name, _, value = option.partition("=")
        harmless = (
            name in _HARMLESS
            if row["kind"] == "user mapping"
            else name in _KNOWN or not (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))
        )
        if harmless:
            shown.append((name, value))
        else:
            salt = f"{row['kind']} {subject} {name}".encode()
            secret.append((name, hashlib.scrypt(value.encode(), salt=salt, n=2**14, r=8, p=1).hex()))
    return sorted(shown), sorted(secret)


def options_sql(options: list[tuple[str, str]]) -> str:
    """`` OPTIONS (a 'b')``, or nothing."""
    inner = ", ".join(f"{quote(name)} {literal(value).strip()}" for name, value in options)
    return f" OPTIONS ({inner})" if inner else ""


def option_parts(alter: str, options: list[tuple[str, str]], prefix: str = "option ") -> list[Part]:
    """Options as parts; ``alter`` is the beginning of the statement that changes them."""
    return [
        (
            prefix + name,
            f"{alter} OPTIONS (ADD {quote(name)} {literal(value).strip()})",
            f"{alter} OPTIONS (SET {quote(name)} {literal(value).strip()})",
            f"{alter} OPTIONS (DROP {quote(name)})",
        )
        for name, value in options
    ]


def wrapper(row: dict[str, Any], comment: str | None) -> Stated:
    """A foreign-data wrapper."""
    name = quote(row["path"][0])
    alter = f"ALTER FOREIGN DATA WRAPPER {name}"
    shown, secret = options_of(row, name)
    functions = [
        (word, row[word.lower()]) for word in ("HANDLER", "VALIDATOR") if row[word.lower()] is not None
    ]
    parts: list[Part] = [
        (word.lower(), f"{alter} {word} {function}", f"{alter} {word} {function}", f"{alter} NO {word}")
        for word, function in functions
    ]
    said = "".join(f" {word} {function}" for word, function in functions)
    return Stated(
        key=Key("foreign-data wrapper", tuple(row["path"])),
        comment=comment,
        noun="FOREIGN DATA WRAPPER",
        subject=name,
        create=f"CREATE FOREIGN DATA WRAPPER {name}",
        whole=f"CREATE FOREIGN DATA WRAPPER {name}{said}{options_sql(shown)}",
        parts=(*parts, *option_parts(alter, shown)),
        secrets=tuple(secret),
    )


def server(row: dict[str, Any], comment: str | None) -> Stated:
    """A foreign server."""
    name = quote(row["path"][0])
    alter = f"ALTER SERVER {name}"
    shown, secret = options_of(row, name)
    head = f"CREATE SERVER {name}" + (f" TYPE {literal(row['type']).strip()}" if row["type"] else "")
    version = literal(row["version"]).strip() if row["version"] else ""
    # A version cannot be taken away again.
    parts: list[Part] = (
        [("version", f"{alter} VERSION {version}", f"{alter} VERSION {version}", "")] if version else []
    )
    tail = f" FOREIGN DATA WRAPPER {quote(row['wrapper'])}"
    return Stated(
        key=Key("server", tuple(row["path"])),
        comment=comment,
        noun="SERVER",
        subject=name,
        create=head + tail,
        whole=head + (f" VERSION {version}" if version else "") + tail + options_sql(shown),
        parts=(*parts, *option_parts(alter, shown)),
        secrets=tuple(secret),
    )


def mapping(row: dict[str, Any], comment: str | None) -> Stated:
    """A user mapping; of one that the inspecting role may not look into, only that it is there."""
    on, role = row["path"]
    who = "PUBLIC" if role == "public" else quote(role)
    subject = f"FOR {who} SERVER {quote(on)}"
    shown, secret = options_of(row, subject)
    return Stated(
        key=Key("user mapping", (on, role)),
        comment=comment,
        noun="USER MAPPING",
        subject=subject,
        create=f"CREATE USER MAPPING {subject}",
        whole=f"CREATE USER MAPPING {subject}{options_sql(shown)}",
        parts=tuple(option_parts(f"ALTER USER MAPPING {subject}", shown)),
        secrets=tuple(secret) if row["seen"] else (("options", "not to be seen"),),
    )


def table(
    row: dict[str, Any],
    columns: list[tuple[dict[str, Any], str | None]],
    more: list[Part],
    comment: str | None,
) -> Stated:
    """A foreign table.

    Args:
        row: of ``foreign.sql``.
        columns: rows of ``columns.sql`` in order, each with its comment.
        more: constraints and triggers.
        comment: its own.
    """
    path = tuple(row["path"])
    name = dotted(*path)
    alter = f"ALTER FOREIGN TABLE {name}"
    shown, secret = options_of(row, name)
    parts: list[Part] = []
    said = []
    for column, told in columns:
        parts += _column(alter, f"{name}.{quote(column['name'])}", column, told)
        said.append(_declared(column))
    create = f"CREATE FOREIGN TABLE {name} () SERVER {quote(row['wrapper'])}"
    head = (
        f"CREATE FOREIGN TABLE {name} ({', '.join(said)}) SERVER {quote(row['wrapper'])}{options_sql(shown)}"
    )
    return Stated(
        key=Key("foreign table", path),
        comment=comment,
        noun="FOREIGN TABLE",
        subject=name,
        create=create,
        whole=head,
        parts=(*parts, *option_parts(alter, shown), *more),
        secrets=tuple(secret),
    )


def _declared(column: dict[str, Any]) -> str:
    """A column as CREATE FOREIGN TABLE writes it."""
    options = options_sql([split(each) for each in column["foreign_options"]])
    return f"{quote(column['name'])} {column['type']}{options}{_tail(column)}"


def _tail(column: dict[str, Any]) -> str:
    text = f" COLLATE {column['collation']}" if column["collation"] else ""
    if column["generated"]:
        word = "VIRTUAL" if column["generated"] == "v" else "STORED"
        text += f" GENERATED ALWAYS AS ({column['expression']}) {word}"
    elif column["expression"]:
        text += f" DEFAULT {column['expression']}"
    return text + (" NOT NULL" if column["not_null"] else "")


def split(option: str) -> tuple[str, str]:
    """``name=value`` as a pair."""
    name, _, value = option.partition("=")
    return name, value


def _column(alter: str, qualified: str, column: dict[str, Any], comment: str | None) -> list[Part]:
    """A column's parts; another type is left to making the table again: it holds no rows."""
    name = quote(column["name"])
    at = f"{alter} ALTER COLUMN {name}"
    head = f"column {column['name']}"
    generated = column["expression"] if column["generated"] else None
    collation = f" COLLATE {column['collation']}" if column["collation"] else ""
    stored = f" GENERATED ALWAYS AS ({generated}) {'VIRTUAL' if column['generated'] == 'v' else 'STORED'}"
    declared = f"{name} {column['type']}{collation}{stored if generated else ''}"
    parts: list[Part] = [(head, f"{alter} ADD COLUMN {declared}", "", "")]
    if column["expression"] and not generated:
        value = f"{at} SET DEFAULT {column['expression']}"
        parts.append((f"{head}/default", value, value, f"{at} DROP DEFAULT"))
    if column["not_null"]:
        parts.append((f"{head}/not null", f"{at} SET NOT NULL", "", f"{at} DROP NOT NULL"))
    parts += option_parts(at, [split(each) for each in column["foreign_options"]], f"{head}/option ")
    if column["statistics"] is not None:
        target = f"{at} SET STATISTICS {column['statistics']}"
        parts.append((f"+{head}/statistics", target, target, f"{at} SET STATISTICS -1"))
    if comment is not None:
        text = f"COMMENT ON COLUMN {qualified} IS {literal(comment).strip()}"
        parts.append((f"+{head}/comment", text, text, f"COMMENT ON COLUMN {qualified} IS NULL"))
    return parts
