"""Written again beside the traffic: shadow, batches, swap; interrupted anywhere; nothing lost, nothing left."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.migration import part_of
from orchestrator.migration.online import Online, as_in
from orchestrator.migration.plan import Plan, Statement
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


GROWN = """
CREATE TABLE t (id int PRIMARY KEY, secret uuid NOT NULL DEFAULT gen_random_uuid(), n serial, token text NOT NULL);
CREATE INDEX by_secret ON t (secret);
"""


def test_a_column_whose_default_differs_by_row_is_filled_before_it_comes(
    database: Callable[..., Any],
) -> None:
    small = "CREATE TABLE t (id int PRIMARY KEY)"
    main, development, goal = begin(database, small, GROWN, "INSERT INTO t SELECT generate_series(1, 500)")
    answers = {"fill:public.t.token": "md5(random()::text)"}
    whole = planned(main.inspect(), goal, **answers)
    assert whole.online == ("public.t.n", "public.t.secret", "public.t.token")
    rest = whole
    for _ in range(2):
        apply(main.connect, replace(rest, statements=tuple(s for s in rest.statements if s.group < 4)))
        rest = planned(main.inspect(), goal, as_in(whole), **answers)
        assert part_of(rest, whole) == ()
    traces = apply(main.connect, rest)
    assert [each.rewritten for each in traces if each.rewritten] == []
    assert describe_difference(main.inspect(), goal) == ()
    assert main.dump() == development.dump()
    distinct = "SELECT count(DISTINCT secret), count(DISTINCT n), count(DISTINCT token) FROM t"
    assert main.rows(distinct) == [(500, 500, 500)]
    assert helpers(main) == 0


def test_what_stands_in_the_way_is_named(database: Callable[..., Any]) -> None:
    before = """
    CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t VALUES (1);
    CREATE TABLE u (a int); INSERT INTO u VALUES (1);
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER every BEFORE UPDATE ON u FOR EACH ROW EXECUTE FUNCTION f();
    """
    main, _, goal = begin(database, before, before.replace("(a int", "(a bigint"), "")
    plan = planned(main.inspect(), goal, Online(large_bytes=1))
    assert plan.online == ()
    assert (
        "public.t (a) is written again under a lock, not beside the traffic: column public.t.b"
        in plan.notes[0]
    )
    assert "trigger public.u.every would fire for every row" in plan.notes[1]
    assert planned(main.inspect(), goal).online == ("public.u.a",)
    apply(main.connect, planned(main.inspect(), goal))
    assert describe_difference(main.inspect(), goal) == ()


class Killed(Exception):
    """Stands for a process that ends."""


@pytest.mark.parametrize("batches", [1, 3])
def test_killed_in_the_midst_of_the_batches_it_goes_on(database: Callable[..., Any], batches: int) -> None:
    main, _, goal = begin(
        database, "CREATE TABLE t (a int PRIMARY KEY, b text)", "CREATE TABLE t (a bigint PRIMARY KEY, b text)",
        "INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 3000) g",
    )  # fmt: skip
    sums = "SELECT md5(string_agg(a::text || b, ',' ORDER BY a)) FROM t"
    before = main.value(sums)
    whole = planned(main.inspect(), goal)

    class Killing:
        left = batches

        def started(self, index: int, statement: Statement) -> None: ...
        def finished(self, index: int, statement: Statement, trace: object) -> None: ...
        def waiting(self, index: int, statement: Statement, reason: str) -> None: ...

        def held_up(self, index: int, statement: Statement, reason: str) -> None: ...
        def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
            self.left -= 1
            if not self.left:
                raise Killed

    with pytest.raises(Killed):
        apply(main.connect, whole, observer=Killing())
    name = next(each.key.path[-1] for each in main.inspect().leftovers if each.key.kind == "column")
    filled = main.value(f"SELECT count({name}) FROM t")
    assert isinstance(filled, int)
    assert 0 < filled < 3000
    main.run(
        "UPDATE t SET b = 'changed' WHERE a = 2999; INSERT INTO t VALUES (5000, 'new'); DELETE FROM t WHERE a = 1"
    )
    after = main.value(sums)
    assert after != before
    rest = planned(main.inspect(), goal, as_in(whole))
    assert part_of(rest, whole) == ()
    traces = apply(main.connect, rest)
    batched = next(each for each in traces if each.batches)
    assert batched.batches > 1
    assert (
        f"{3000 - filled - 1:,} rows in" in batched.notices[0]
        or f"{3000 - filled - 2:,} rows in" in batched.notices[0]
    )
    assert describe_difference(main.inspect(), goal) == ()
    assert main.value(sums) == after


def test_what_another_plan_left_is_removed(database: Callable[..., Any]) -> None:
    main, _, goal = begin(
        database, "CREATE TABLE t (a int PRIMARY KEY)", "CREATE TABLE t (a bigint PRIMARY KEY)",
        "INSERT INTO t SELECT generate_series(1, 100)",
    )  # fmt: skip
    whole = planned(main.inspect(), goal)
    apply(main.connect, replace(whole, statements=whole.statements[:-8]))
    assert helpers(main) != 0
    cleaning = planned(main.inspect(), main.inspect())
    assert all(each.repair for each in cleaning.statements)
    apply(main.connect, cleaning)
    assert helpers(main) == 0
    assert main.inspect().leftovers == ()


def test_rows_of_partitions_are_filled_in_batches_too(database: Callable[..., Any]) -> None:
    tree = """
    CREATE TABLE t (id int, note text) PARTITION BY RANGE (id);
    CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
    CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (1000) TO (9000);
    """
    main, _, goal = begin(
        database, tree, tree.replace("note text", "note text NOT NULL"),
        "INSERT INTO t SELECT g, nullif(g % 2, 0) FROM generate_series(1, 5000) g",
    )  # fmt: skip
    plan = planned(main.inspect(), goal, **{"fill:public.t.note": "'none'"})
    traces = apply(main.connect, plan)
    assert any("2,500 rows in" in notice for each in traces for notice in each.notices)
    assert describe_difference(main.inspect(), goal) == ()


def test_rows_that_move_while_others_are_filled_are_not_missed(database: Callable[..., Any]) -> None:
    small = "CREATE TABLE t (id int PRIMARY KEY, note text);"
    main, _, goal = begin(
        database, small, small.replace("note text", "note text, secret uuid NOT NULL DEFAULT gen_random_uuid()"),
        "INSERT INTO t SELECT g, repeat('x', 300) FROM generate_series(1, 2000) g",
    )  # fmt: skip

    class Moving:
        moved = False

        def started(self, index: int, statement: Statement) -> None: ...
        def finished(self, index: int, statement: Statement, trace: object) -> None: ...
        def waiting(self, index: int, statement: Statement, reason: str) -> None: ...

        def held_up(self, index: int, statement: Statement, reason: str) -> None: ...
        def progress(self, index: int, statement: Statement, done: int, total: int) -> None:
            if not self.moved:
                self.moved = True
                main.run("UPDATE t SET note = repeat('y', 400) WHERE id > 1000")

    apply(main.connect, planned(main.inspect(), goal), observer=Moving())
    assert main.value("SELECT count(DISTINCT secret) FROM t") == 2000
    assert describe_difference(main.inspect(), goal) == ()
