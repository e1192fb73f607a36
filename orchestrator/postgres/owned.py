"""Owners and access lists, as far as they are not PostgreSQL's own defaults, by the object they belong to. No I/O."""

from collections.abc import Iterator
from typing import Any

from orchestrator.postgres.relations import Relations
from orchestrator.schema.names import KEPT_PREFIX, Key
from orchestrator.schema.privileges import PLAIN, Privileges, default_key


def privileges_of(assembly: Relations) -> dict[Key, Privileges]:
    """Every owner that is not the role that inspected, and every grant and revocation, by key."""
    defaults: dict[str, set[tuple[str, str]]] = {}
    for row in assembly.rows["default_privileges"]:
        defaults.setdefault(row["type"], set()).add((row["privilege"], row["grantee"]))
    sequences = dict(_identity_sequences(assembly))
    found: dict[Key, Privileges] = {}
    for row in assembly.rows["privileges"]:
        key, owned, type_ = _place(assembly, row, sequences)
        if key is None:
            continue
        owner = row["owner"] if owned else ""
        given = _against(owner, row["acl"], defaults.get(type_, set()))
        if given != PLAIN:
            found[key] = given
    for row in assembly.rows["system_privileges"]:
        given = _against("", row["acl"], {(privilege, grantee) for privilege, grantee in row["initial"]})
        if given != PLAIN:
            found[Key(row["kind"], tuple(row["path"]))] = given
    return found


def _place(
    assembly: Relations, row: dict[str, Any], sequences: dict[int, Key]
) -> tuple[Key | None, bool, str]:
    """The key, whether its owner is its own, and what acldefault() calls its kind."""
    catalog = assembly.catalog
    if row["class"] == catalog["pg_default_acl"]:
        # Those of a schema are added to the others; only the others stand in for PostgreSQL's own.
        everywhere = {"S": "s"}.get(row["type"], row["type"])
        return (
            default_key(row["owner"], row["name"], row["type"]),
            False,
            "" if row["name"] else everywhere,
        )
    if row["class"] == catalog["pg_language"]:
        own = (row["class"], row["oid"]) not in assembly.members
        return Key("language", (row["name"],)), own, row["type"]
    if (row["class"], row["oid"]) in assembly.members:
        return None, False, ""
    address = (row["class"], row["oid"], 0)
    if row["sub"]:
        column = assembly.address.get((row["class"], row["oid"], row["sub"]))
        relation = assembly.address.get(address)
        if column is None and relation is not None and not row["name"].startswith(KEPT_PREFIX):
            column = Key("column", (*relation.path[:2], row["name"]))
        return column, False, row["type"]
    if row["class"] == catalog["pg_class"] and row["oid"] in sequences:
        return sequences[row["oid"]], False, row["type"]
    return assembly.address.get(address), True, row["type"]


def _identity_sequences(assembly: Relations) -> Iterator[tuple[int, Key]]:
    """Sequences of identity columns: they are no objects of their own, but one can grant on them."""
    for row in assembly.rows["sequences"]:
        if row["owned"] == "i":
            column = assembly.address.get((assembly.catalog["pg_class"], row["relation"], row["number"]))
            if column is not None and column.kind == "column":
                yield row["oid"], Key("identity sequence", column.path)


def _against(owner: str, acl: list[list[Any]] | None, defaults: set[tuple[str, str]]) -> Privileges:
    """An access list as a difference to the defaults."""
    if acl is None:
        return Privileges(owner=owner)
    options: dict[tuple[str, str], bool] = {}
    for privilege, grantee, option in acl:  # one grantee may have it from several grantors
        options[privilege, grantee] = options.get((privilege, grantee), False) or option
    granted = ((*item, option) for item, option in options.items() if option or item not in defaults)
    return Privileges(
        owner=owner, granted=tuple(sorted(granted)), revoked=tuple(sorted(defaults - options.keys()))
    )
