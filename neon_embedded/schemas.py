"""Showing and comparing schemas of branches, now or at a point. Reads only; knows no HTTP."""

import difflib
from typing import Any, Final

from neon_embedded.branches import branch_of
from neon_embedded.errors import Refusal
from neon_embedded.plane import Plane
from neon_embedded.points import Point, readable
from neon_embedded.rows import BranchRow, DatabaseRow
from neon_embedded.timelines import dump_schema

_COLUMNS: Final = """
select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull, a.attgenerated <> ''
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by 1, 2, a.attnum
"""
_CONSTRAINTS: Final = """
select n.nspname, c.relname, k.conname, k.contype::text,
    array(select a.attname from unnest(k.conkey) with ordinality as u (number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number order by place)::text[],
    fn.nspname, f.relname,
    array(select a.attname from unnest(k.confkey) with ordinality as u (number, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number order by place)::text[]
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_class f on f.oid = k.confrelid left join pg_namespace fn on fn.oid = f.relnamespace
where k.contype in ('p', 'u', 'f') and n.nspname !~ '^pg_' order by 1, 2, 3
"""
_KINDS: Final = {"p": "primary_key", "u": "unique", "f": "foreign_key"}


def schema_of(plane: Plane, project_id: str, branch_id: str, *, database: str, point: Point | None) -> str:
    """The schema as SQL, as pg_dump writes it. Raises Refusal."""
    branch = _branch_with(plane, project_id, branch_id, database)
    with readable(plane, branch, point) as postmaster:
        return dump_schema(postmaster, database)


def tables_of(
    plane: Plane, project_id: str, branch_id: str, *, database: str, point: Point | None
) -> dict[str, Any]:
    """The tables as Neon's BranchSchemaJSON. Raises Refusal."""
    branch = _branch_with(plane, project_id, branch_id, database)
    tables: dict[tuple[str, str], dict[str, Any]] = {}
    with readable(plane, branch, point) as postmaster, postmaster.superuser(database) as connection:
        for schema, name, column, kind, nullable, generated in connection.execute(_COLUMNS).fetchall():
            table = tables.setdefault(
                (schema, name), {"schema": schema, "name": name, "columns": [], "constraints": []}
            )
            table["columns"].append(
                {"name": column, "type": kind, "nullable": nullable, "generated": generated}
            )
        for schema, name, constraint, kind, columns, *to in connection.execute(_CONSTRAINTS).fetchall():
            shown = {"name": constraint, "type": _KINDS[kind], "columns": columns}
            if kind == "f":
                shown["referenced_table"] = dict(zip(("schema", "table", "columns"), to, strict=True))
            if (schema, name) in tables:
                tables[schema, name]["constraints"].append(shown)
    return {"tables": list(tables.values())}


def compare_schemas(
    plane: Plane,
    project_id: str,
    branch_id: str,
    *,
    base_branch_id: str,
    database: str,
    point: Point | None,
    base_point: Point | None,
) -> str:
    """What the branch's schema has that the base's (the parent's, when none is named) has not, as a unified diff.

    Raises:
        Refusal: 400 when there is nothing to compare with, 404.
    """
    branch = _branch_with(plane, project_id, branch_id, database)
    base_id = base_branch_id or branch.parent_id or (branch.id if point or base_point else "")
    if not base_id:
        raise Refusal(400, "base_branch_id is required: the branch has no parent")
    before = schema_of(plane, project_id, base_id, database=database, point=base_point)
    after = schema_of(plane, project_id, branch_id, database=database, point=point)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{database}", f"b/{database}"
    )
    return "".join(lines)


def _branch_with(plane: Plane, project_id: str, branch_id: str, database: str) -> BranchRow:
    branch = branch_of(plane, project_id, branch_id)
    if not database:
        raise Refusal(400, "invalid request: query parameter 'db_name' is required")
    if plane.store.one(DatabaseRow, branch_id=branch.id, name=database) is None:
        raise Refusal(404, f"database not found: {database}")
    return branch
