"""Reading two databases as a pair: the same differences as reading each whole, and nothing left out unseen."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.migration.planner import make_plan
from orchestrator.postgres import pair
from orchestrator.postgres.facts import BELONGING, WHOLE
from orchestrator.postgres.inspect import QUERIES
from orchestrator.postgres.pair import inspect_pair
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import diff
from orchestrator.schema.names import Key

COMMON = """
    CREATE TYPE mood AS ENUM ('ok', 'sad');
    CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'select n * 2';
    CREATE TABLE apart (id serial PRIMARY KEY, word text DEFAULT 'x' CHECK (word <> ''), m mood DEFAULT 'ok');
    CREATE INDEX apart_word ON apart (word) WHERE m <> 'sad';
    CREATE VIEW far AS SELECT word FROM apart;
    CREATE TABLE main (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, m mood);
    CREATE INDEX main_twice ON main (twice(n));
    CREATE TABLE child (id int PRIMARY KEY, main int REFERENCES main);
    CREATE VIEW seen AS SELECT id, n FROM main;
    CREATE VIEW again AS SELECT n FROM seen;
    CREATE TABLE log (at int, by int) PARTITION BY HASH (at);
    CREATE TABLE log_0 PARTITION OF log FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE old (at int);
    CREATE TABLE older () INHERITS (old);
    INSERT INTO older VALUES (1);
"""

AGAIN = "DROP INDEX apart_word; CREATE INDEX apart_word"

#: What is done to the goal, and a relation that must be looked at for it.
CHANGES = {
    "a column": ("ALTER TABLE main ADD more text", "main"),
    "an oid in a default": ("ALTER TABLE main ALTER m SET DEFAULT 'sad'", "main"),
    "a column's type under views": ("ALTER TABLE apart DROP id CASCADE", "apart"),
    "an index's order": (f"{AGAIN} ON apart (word DESC) WHERE m <> 'sad'", "apart"),
    "an index's class": (
        f"{AGAIN} ON apart (word text_pattern_ops) WHERE m <> 'sad'", "apart"
    ),
    "an index's collation": (
        f'{AGAIN} ON apart (word COLLATE "POSIX") WHERE m <> \'sad\'', "apart"
    ),
    "an index's predicate": (f"{AGAIN} ON apart (word) WHERE m = 'sad'", "apart"),
    "an index's method": (f"{AGAIN} ON apart USING hash (word) WHERE m <> 'sad'", "apart"),
    "an index's nulls": ("CREATE UNIQUE INDEX u ON child (main) NULLS NOT DISTINCT", "child"),
    "an index's included column": ("CREATE INDEX u ON child (id) INCLUDE (main)", "child"),
    "an identity's sequence": ("ALTER TABLE main ALTER id SET INCREMENT 5", "main"),
    "an identity's sequence's name": ("ALTER SEQUENCE main_id_seq RENAME TO other", "main"),
    "a serial's sequence": ("ALTER SEQUENCE apart_id_seq INCREMENT 5", "apart_id_seq"),
    "a function below an index": (
        (
            "DROP INDEX main_twice; DROP FUNCTION twice; CREATE FUNCTION twice(n int) RETURNS bigint LANGUAGE sql"
            " IMMUTABLE AS 'select n * 2'; CREATE INDEX main_twice ON main (twice(n))"
        ),
        "main",
    ),
    "an enum below columns": ("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'", "main"),
    "a comment on a column": ("COMMENT ON COLUMN child.id IS 'which'", "child"),
    "a comment on a constraint": ("COMMENT ON CONSTRAINT apart_word_check ON apart IS 'why'", "apart"),
    "a comment on an index": ("COMMENT ON INDEX apart_word IS 'why'", "apart"),
    "a check": ("ALTER TABLE child ADD CHECK (id > 0)", "child"),
    "a storage parameter": ("ALTER TABLE child SET (fillfactor = 70)", "child"),
    "a statistics target": ("ALTER TABLE child ALTER id SET STATISTICS 7", "child"),
    "row security": ("ALTER TABLE child ENABLE ROW LEVEL SECURITY", "child"),
    "a policy": ("CREATE POLICY p ON child USING (id > 0)", "child"),
    "a rule": ("CREATE RULE r AS ON INSERT TO child DO ALSO NOTHING", "child"),
    "a partition": ("CREATE TABLE log_1 PARTITION OF log FOR VALUES WITH (MODULUS 2, REMAINDER 1)", "log_0"),
    "a column above": ("ALTER TABLE old ADD more int", "older"),
    "a table below": ("CREATE TABLE oldest () INHERITS (old)", "older"),
    "an unlogged table": ("ALTER TABLE child SET UNLOGGED", "child"),
}  # fmt: skip


def closely(base: Any, goal: Any) -> tuple[Snapshot, Snapshot]:
    with base.connect() as one, goal.connect() as other:
        return inspect_pair(one, other, fewest=0, most=1)


def test_every_query_says_whose_its_rows_are() -> None:
    # A query that is in neither table switches the quick way off. One in WHOLE must make its objects whether or not
    # the rows of a relation were read; else it belongs to that relation.
    assert set(QUERIES) == BELONGING.keys() | WHOLE
    assert not BELONGING.keys() & WHOLE


@pytest.fixture(scope="module")
def twins(lasting_databases: Callable[[int], list[Any]]) -> tuple[Any, Any]:
    base, goal = lasting_databases(2)
    return base, goal


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_seen_and_what_is_equal_is_left_out(twins: tuple[Any, Any], change: str) -> None:
    base, goal = twins
    script, where = CHANGES[change]
    for each in twins:
        each.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
    base.run(COMMON)
    # Other numbers for the same names.
    goal.run(
        "CREATE TABLE filler (id serial); CREATE TYPE filling AS ENUM ('x'); DROP TABLE filler; DROP TYPE filling;"
    )
    goal.run(COMMON)
    near, far = closely(base, goal)
    assert not diff(near, far)
    assert not near.whole
    assert near.of_kind("table") == ()
    with pytest.raises(ValueError, match="not whole"):
        near.fingerprint()

    goal.run(script)
    near, far = closely(base, goal)
    whole = base.inspect(), goal.inspect()
    # A server says how much is written from its sixtieth second on, which may fall between the two looks.
    near = replace(near, writes=whole[0].writes)
    assert diff(near, far) == diff(*whole)
    quick, full = (make_plan(*each, assume_defaults=True).plan for each in ((near, far), whole))
    assert quick is not None
    assert full is not None
    assert quick.statements
    assert near.sizes.items() <= whole[0].sizes.items()
    assert (quick.statements, quick.notes) == (full.statements, full.notes)
    assert any(key.path[:2] == ("public", where) for key in near.objects)
    assert len(near.objects) < len(whole[0].objects)


def test_what_a_helper_left_is_seen_though_both_sides_have_it(database: Callable[..., Any]) -> None:
    base, goal = database(), database()
    for each in (base, goal):
        each.run(COMMON + "ALTER TABLE apart ADD CONSTRAINT preview_tmp_x CHECK (id > 0);")
    near, _ = closely(base, goal)
    assert [each.key for each in near.leftovers] == [Key("constraint", ("public", "apart", "preview_tmp_x"))]


def test_small_or_very_different_databases_are_read_whole(database: Callable[..., Any]) -> None:
    base, goal = database(), database()
    base.run(COMMON)
    with base.connect() as one, goal.connect() as other:
        assert all(each.whole for each in inspect_pair(one, other))
        assert all(each.whole for each in inspect_pair(one, other, fewest=0))
    assert pair.FEWEST > 10


def test_the_order_of_columns_is_a_fact(database: Callable[..., Any]) -> None:
    base, goal = database(), database()
    base.run(COMMON + "CREATE TABLE t (a int, b int)")
    goal.run(COMMON + "CREATE TABLE t (b int, a int)")
    near, far = closely(base, goal)
    plan = make_plan(near, far, assume_defaults=True).plan
    assert plan is not None
    assert "public.t" in plan.notes[0]
