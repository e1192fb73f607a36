"""What earlier promotions set aside, and what of the snapshot it stands on. No I/O of its own."""

from orchestrator.postgres.relations import Relations
from orchestrator.schema.names import Key
from orchestrator.schema.objects import Hidden

#: Dependencies by which a part belongs to a table or a column: its default, its constraints, its indexes, its row type.
_PARTS = frozenset("ai")


def hidden(found: Relations) -> tuple[Hidden, ...]:
    """Every table and column that was set aside, by name."""
    things: dict[str, tuple[tuple[str, ...], bool]] = {}  # name -> its table now, whether it is a column
    of: dict[tuple[int, int, int], str] = {}  # address -> the name of what it is a part of
    relation = found.catalog["pg_class"]
    tables = {}
    for row in found.rows["kept"]:
        tables[row["oid"]] = row["schema"]
        things[row["schema"]] = ((row["schema"], row["name"]), False)
    for (oid, number), name in found.kept_columns.items():
        of[relation, oid, number] = name
        things[name] = (found.tables[oid].path, True)
    if not things:
        return ()

    def whose(class_: int, oid: int, sub: int) -> str | None:
        if class_ == relation and oid in tables:
            return str(tables[oid])
        return of.get((class_, oid, sub)) or of.get((class_, oid, 0))

    rows = found.rows["dependencies"]
    for _ in range(2):  # parts, and parts of these: the index of a constraint
        for row in rows:
            whole = whose(row["ref_class"], row["ref_oid"], row["ref_sub"])
            if whole is not None and row["type"] in _PARTS and found.resolve(_address(row)) is None:
                of.setdefault(_address(row), whole)
    needs: dict[str, set[Key]] = {name: set() for name in things}
    for row in rows:
        user = whose(*_address(row))
        ref = (row["ref_class"], row["ref_oid"], row["ref_sub"])
        if user is None or whose(*ref) is not None:
            continue
        needed = found.resolve(ref)
        if needed is not None and needed.path != things[user][0]:
            needs[user].add(needed)
    return tuple(
        Hidden(name=name, table=table, column=column, needs=tuple(sorted(needs[name])))
        for name, (table, column) in sorted(things.items())
    )


def _address(row: dict[str, int]) -> tuple[int, int, int]:
    return row["class"], row["oid"], row["sub"]
