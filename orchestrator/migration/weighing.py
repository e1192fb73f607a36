"""Weighing: each hazard of a statement with the size and the traffic of the table it is about. Pure: no I/O."""

from dataclasses import replace

from orchestrator.migration.plan import Hazard, Statement
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import dotted
from orchestrator.schema.scale import scale


def with_scale(statement: Statement, base: Snapshot) -> Statement:
    """The statement with ``scale`` in those of its hazards that are about a table, or about something in one.

    Args:
        statement: any statement of a plan.
        base: the snapshot that it starts from, in the names that the hazards use.
    """
    if not statement.hazards:
        return statement
    tables = {key.name: key for key in base.sizes}
    # A hazard about an index or a domain counts for the table that the statement locks.
    else_on = next((tables[name] for name in statement.lock_on if name in tables), None)

    def weighed(found: Hazard) -> Hazard:
        table = tables.get(dotted(*_parts(found.on)[:2]), else_on)
        return replace(found, scale=scale(base.sizes[table], base.writes.get(table))) if table else found

    return replace(statement, hazards=tuple(weighed(each) for each in statement.hazards))


def _parts(name: str) -> list[str]:
    """The parts of a qualified name, unquoted."""
    parts, quoted = [""], False
    for letter in name:
        if letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
