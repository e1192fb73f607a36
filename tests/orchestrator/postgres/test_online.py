"""Written again beside the traffic: shadow, batches, swap; interrupted anywhere; nothing lost, nothing left."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.migration import part_of
from orchestrator.migration.online import Online, as_in
from orchestrator.migration.plan import Plan
from orchestrator.migration.planner import make_plan
from orchestrator.postgres.apply import apply
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference

ALWAYS = Online(mode="always")

BEFORE = """
CREATE TABLE "Order" (id serial PRIMARY KEY, code int NOT NULL CONSTRAINT positive CHECK (code > 0), note text);
CREATE TABLE item (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "order" int NOT NULL REFERENCES "Order" ON DELETE CASCADE,
    parent int REFERENCES item, price numeric(8,2) DEFAULT 0, UNIQUE (parent, id)
);
CREATE INDEX item_by_order ON item ("order", price) WHERE price > 1;
CREATE VIEW dear AS SELECT i.id, o.code FROM item i JOIN "Order" o ON o.id = i."order" WHERE i.price > 10;
GRANT SELECT ON dear TO public;
COMMENT ON COLUMN item.id IS 'its number';
COMMENT ON INDEX item_by_order IS 'for the list';
COMMENT ON CONSTRAINT item_pkey ON item IS 'the key';
CREATE STATISTICS together ON "order", price FROM item;
ALTER TABLE item ALTER COLUMN price SET STATISTICS 300;
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := ''changed''; RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE OF code ON "Order" FOR EACH ROW EXECUTE FUNCTION touched();
ALTER TABLE item ENABLE ROW LEVEL SECURITY;
CREATE POLICY cheap ON item USING (price < 1000);
"""
AFTER = (
    BEFORE.replace("id serial", "id bigserial")
    .replace("id int G", "id bigint G")
    .replace('"order" int', '"order" bigint')
    .replace("parent int", "parent bigint")
    .replace("price numeric(8,2)", "price numeric(12,4)")
)
SEED = """
INSERT INTO "Order" (code) SELECT g FROM generate_series(1, 300) g;
INSERT INTO item ("order", parent, price) SELECT g, null, g / 7.0 FROM generate_series(1, 300) g;
UPDATE item SET parent = id - 1 WHERE id > 1;
DELETE FROM item WHERE id = 300;
"""
VALUES = (
    'SELECT id::text, "order"::text, parent::text, price::numeric(8,2)::text FROM item'
    ' UNION ALL SELECT id::text, code::text, note, null FROM "Order" ORDER BY 1, 2, 3'
)


def planned(base: Snapshot, goal: Snapshot, policy: Online = ALWAYS, **answers: str) -> Plan:
    found = make_plan(base, goal, answers=answers, assume_defaults=True, policy=policy).plan
    assert found is not None
    return found


def begin(database: Callable[..., Any], before: str, after: str, seed: str) -> tuple[Any, Any, Snapshot]:
    main, goal = database(), database()
    main.run(before)
    main.run(seed)
    goal.run(after)
    return main, goal, goal.inspect()


def helpers(main: Any) -> object:
    return main.value(
        "select count(*) from (select attname n from pg_attribute where not attisdropped and attrelid not in"
        " (select indexrelid from pg_index) union all"
        " select relname from pg_class union all select proname from pg_proc union all select conname from"
        " pg_constraint union all select tgname from pg_trigger) x where n ~ 'preview_tmp'"
    )


def test_keys_become_wider_with_all_that_stands_on_them(database: Callable[..., Any]) -> None:
    main, development, goal = begin(database, BEFORE, AFTER, SEED)
    before = main.rows(VALUES)
    plan = planned(main.inspect(), goal)
    assert plan.online == (
        'public."Order".id', 'public.item."order"', "public.item.id", "public.item.parent", "public.item.price",
    )  # fmt: skip
    traces = apply(main.connect, plan)
    assert {name for each in traces for name in each.rewritten} <= {'public."Order_id_seq"'}
    assert describe_difference(main.inspect(), goal) == ()
    assert main.dump() == development.dump()
    assert main.rows(VALUES) == before
    assert helpers(main) == 0
    assert main.inspect().leftovers == ()
    main.run('INSERT INTO "Order" (code) VALUES (3000000); INSERT INTO item ("order") VALUES (301)')
    assert main.rows('SELECT max(id) FROM "Order" UNION ALL SELECT max(id) FROM item') == [(301,), (301,)]
    assert make_plan(main.inspect(), goal, policy=ALWAYS).plan.statements == ()  # type: ignore[union-attr]


@pytest.mark.prove
def test_interrupted_at_every_boundary(database: Callable[..., Any]) -> None:
    main, _, goal = begin(database, BEFORE, AFTER, SEED)
    values = main.rows(VALUES)
    whole = planned(main.inspect(), goal)
    boundaries = sorted({each.group for each in whole.statements})
    for until in boundaries[1:]:
        main, _, _ = begin(database, BEFORE, "", SEED)
        apply(main.connect, replace(whole, statements=tuple(s for s in whole.statements if s.group < until)))
        assert main.rows(VALUES) == values
        rest = planned(main.inspect(), goal, as_in(whole))
        assert part_of(rest, whole) == (), f"after group {until - 1}"
        apply(main.connect, rest)
        assert describe_difference(main.inspect(), goal) == ()
        assert main.rows(VALUES) == values
        assert helpers(main) == 0
