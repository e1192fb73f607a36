"""Offers: a value to propose for a column that must not be NULL, by its type. Pure: no I/O of any kind."""

from orchestrator.migration.types import TypeName

_BY_TYPE = {
    "text": "''",
    "character varying": "''",
    "smallint": "0",
    "integer": "0",
    "bigint": "0",
    "numeric": "0",
    "real": "0",
    "double precision": "0",
    "boolean": "false",
    "date": "CURRENT_DATE",
    "timestamp with time zone": "now()",
    "timestamp without time zone": "now()",
    "uuid": "gen_random_uuid()",
    "jsonb": "'{}'::jsonb",
    "json": "'{}'::json",
}


def offer(type_name: str) -> str | None:
    """The value to propose; None where none is plain enough."""
    parsed = TypeName.parse(type_name)
    return None if parsed.array else _BY_TYPE.get(parsed.name)
