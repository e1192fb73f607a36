"""Names and statements of what is kept aside: reserved, short, never twice; what comes back takes nobody's name."""

from hypothesis import given
from hypothesis import strategies as some

from orchestrator.migration import part_of
from orchestrator.migration.keeping import Keeping, Kept, bring_back, in_the_way, keeping_of, kept_name
from orchestrator.migration.plan import Keeps, Plan, Statement
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import KEPT_PREFIX, Key
from orchestrator.schema.objects import Column, Schema, Table

names = some.text(some.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20)


@given(names, names, names, some.integers(0, 5))
def test_a_name_is_reserved_and_never_one_that_is_taken(
    schema: str, table: str, column: str, times: int
) -> None:
    key, taken = Key("column", (schema, table, column)), set()
    for _ in range(times + 1):
        name = kept_name(key, taken)
        assert name.startswith(KEPT_PREFIX)
        assert len(name.encode()) <= 63
        assert name not in taken
        assert name == kept_name(key, taken)
        taken.add(name)


@given(names, names, names, some.booleans())
def test_what_comes_back_gets_its_name_unless_it_is_taken(
    schema: str, table: str, column: str, taken: bool
) -> None:
    home = Key("table", (schema, table))
    name, other = (kept_name(Key(kind, (schema, table, column)), ()) for kind in ("column", "table"))
    a_column = Kept(name=name, was=(schema, table, column), table=(schema, table))
    a_table = Kept(name=other, was=(schema, table), table=(other, table))
    objects = {Key("schema", (schema,)): Schema(key=Key("schema", (schema,)))}
    if taken:
        key = Key("column", (schema, table, column))
        objects |= {home: Table(key=home), key: Column(key=key, type="text")}  # type: ignore[dict-item]
    now = Snapshot(objects=objects)
    back = bring_back([a_column, a_table], now)
    assert set(in_the_way([a_column, a_table], now)) == ({name, other} if taken else set())
    assert {each.forgets for each in back if each.forgets} == (set() if taken else {name, other})
    assert [each.group for each in back] == sorted(each.group for each in back)


@given(some.integers(1, 30), names)
def test_a_plan_remembers_what_it_keeps_and_how_long(days: int, column: str) -> None:
    keeps = Keeps(
        name=kept_name(Key("column", ("public", "t", column)), ()), was=("public", "t", column), days=days
    )
    plan = Plan(base="", goal="", statements=(Statement(sql=f"RENAME {keeps.name}", why="", keeps=keeps),))
    assert Plan.from_json(plan.to_json()) == plan
    assert keeping_of(plan) == Keeping(days=days)
    other = kept_name(Key("column", ("public", "t", column)), [keeps.name])
    again = Plan(base="", goal="", statements=(Statement(sql=f"RENAME {other}", why=""),))
    assert part_of(again, plan) == ()
    assert part_of(Plan(base="", goal="", statements=(Statement(sql="RENAME preview_kept_x", why=""),)), plan)
