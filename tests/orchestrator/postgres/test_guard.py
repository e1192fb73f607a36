"""One of every kind: each is seen as a difference, or it is named as not compared. Nothing is silently equal."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.errors import UnsupportedObject
from orchestrator.migration.planner import make_plan
from orchestrator.postgres import guard
from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference
from orchestrator.schema.objects import Stated

#: Each statement makes, or changes, something of a kind that no statement before it did.
ONE_OF_EACH = """
CREATE SCHEMA s
CREATE TYPE shell
DROP TYPE shell
CREATE TYPE e AS ENUM ('a')
ALTER TYPE e ADD VALUE 'b'
CREATE DOMAIN d AS int CHECK (VALUE > 0)
CREATE TYPE c AS (a int)
CREATE TYPE r AS RANGE (SUBTYPE = int)
CREATE SEQUENCE seq
CREATE TABLE t (a int, b text, c int, g int GENERATED ALWAYS AS (a + 1) STORED, i int GENERATED ALWAYS AS IDENTITY)
ALTER TABLE t ALTER a SET DEFAULT 1
ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)
ALTER TABLE t ADD PRIMARY KEY (a)
ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (c) REFERENCES t
ALTER TABLE t ADD CONSTRAINT ex EXCLUDE USING btree (c WITH =)
CREATE INDEX ix ON t (b)
ALTER TABLE t CLUSTER ON ix
ALTER TABLE t REPLICA IDENTITY FULL
ALTER TABLE t SET (fillfactor = 70)
ALTER TABLE t ALTER b SET STATISTICS 5
ALTER TABLE t ALTER b SET STORAGE EXTERNAL
ALTER TABLE t ENABLE ROW LEVEL SECURITY
CREATE POLICY p ON t USING (true)
CREATE RULE rl AS ON INSERT TO t DO ALSO NOTHING
ALTER TABLE t DISABLE RULE rl
CREATE STATISTICS st (ndistinct) ON a, c FROM t
ALTER STATISTICS st SET STATISTICS 7
CREATE VIEW v AS SELECT a FROM t
ALTER VIEW v ALTER a SET DEFAULT 2
CREATE MATERIALIZED VIEW m AS SELECT 1 AS a
CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'
CREATE TRIGGER tg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf()
ALTER TABLE t DISABLE TRIGGER tg
CREATE PROCEDURE pr() LANGUAGE sql AS 'SELECT 1'
CREATE AGGREGATE ag(int) (SFUNC = int4pl, STYPE = int)
CREATE FUNCTION eq(int, text) RETURNS bool LANGUAGE sql AS 'SELECT true'
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = text, FUNCTION = eq)
ALTER OPERATOR === (int, text) SET (RESTRICT = eqsel)
CREATE OPERATOR FAMILY f USING btree
ALTER OPERATOR FAMILY f USING btree ADD OPERATOR 1 < (int, int)
ALTER OPERATOR FAMILY integer_ops USING btree ADD OPERATOR 1 === (int, text)
CREATE OPERATOR CLASS oc FOR TYPE int USING btree FAMILY f AS OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int)
CREATE CAST (c AS text) WITH INOUT
CREATE COLLATION k (LOCALE = 'C')
CREATE CONVERSION cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8
CREATE TEXT SEARCH TEMPLATE tt (INIT = dsimple_init, LEXIZE = dsimple_lexize)
CREATE TEXT SEARCH PARSER tp (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)
CREATE TEXT SEARCH DICTIONARY td (TEMPLATE = simple)
ALTER TEXT SEARCH DICTIONARY td (ACCEPT = false)
CREATE TEXT SEARCH CONFIGURATION tc (PARSER = tp)
ALTER TEXT SEARCH CONFIGURATION tc ADD MAPPING FOR word WITH td
CREATE FUNCTION ef() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'
CREATE EVENT TRIGGER et ON sql_drop EXECUTE FUNCTION ef()
ALTER EVENT TRIGGER et DISABLE
CREATE FOREIGN DATA WRAPPER w
CREATE SERVER sv FOREIGN DATA WRAPPER w
ALTER SERVER sv OPTIONS (host 'h')
CREATE USER MAPPING FOR PUBLIC SERVER sv
ALTER USER MAPPING FOR PUBLIC SERVER sv OPTIONS (password 'p')
ALTER USER MAPPING FOR PUBLIC SERVER sv OPTIONS (SET password 'q')
CREATE FOREIGN TABLE ft (a int) SERVER sv
ALTER FOREIGN TABLE ft ALTER a OPTIONS (x 'y')
ALTER FOREIGN TABLE ft ADD CONSTRAINT fk CHECK (a > 0)
CREATE TRIGGER ftg BEFORE INSERT ON ft FOR EACH ROW EXECUTE FUNCTION tf()
CREATE PUBLICATION pub
ALTER PUBLICATION pub ADD TABLE t WHERE (a > 0)
ALTER PUBLICATION pub ADD TABLES IN SCHEMA s
ALTER PUBLICATION pub SET (publish = 'insert')
CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere password=x' PUBLICATION pub WITH (connect = false, slot_name = NONE)
CREATE FUNCTION lh() RETURNS language_handler LANGUAGE internal AS 'fmgr_sql_validator'
CREATE LANGUAGE l HANDLER lh
CREATE FUNCTION tr(internal) RETURNS internal LANGUAGE internal IMMUTABLE AS 'boolin'
CREATE TRANSFORM FOR e LANGUAGE l (FROM SQL WITH FUNCTION tr(internal))
CREATE FUNCTION am(internal) RETURNS index_am_handler LANGUAGE internal AS 'bthandler'
CREATE ACCESS METHOD mine TYPE INDEX HANDLER am
CREATE TYPE b
CREATE FUNCTION b_in(cstring) RETURNS b LANGUAGE internal AS 'int4in'
CREATE FUNCTION b_out(b) RETURNS cstring LANGUAGE internal AS 'int4out'
CREATE TYPE b (INPUT = b_in, OUTPUT = b_out, LIKE = int4)
ALTER TYPE b SET (STORAGE = plain, ANALYZE = array_typanalyze)
CREATE TABLE parent (a int)
CREATE TABLE child () INHERITS (parent)
CREATE TABLE parted (a int) PARTITION BY LIST (a)
CREATE TABLE part PARTITION OF parted FOR VALUES IN (1)
CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'
COMMENT ON OPERATOR === (int, text) IS 'x'
COMMENT ON COLUMN ft.a IS 'x'
COMMENT ON TRIGGER tg ON t IS 'x'
COMMENT ON TYPE r IS 'x'
SELECT lo_create(0)
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = %L', current_database(), '1MB'); END $$
"""


def test_one_of_each(database: Callable[[], Any]) -> None:
    main = database()
    statements = [each for each in ONE_OF_EACH.strip().splitlines() if each]
    unseen, said = [], []
    with main.connect() as connection:
        before = main.inspect()
        for statement in statements:
            connection.execute(statement.encode())
            after = main.inspect()
            if (before.fingerprint(), before.uncompared) == (after.fingerprint(), after.uncompared):
                unseen.append(statement)
            before = after
            said.append(repr((after.objects, after.uncompared)))
            if statement.startswith("CREATE SUBSCRIPTION"):
                connection.execute("DROP SUBSCRIPTION sub")  # it would keep the database from being dropped
    assert unseen == []
    assert not any("'q'" in each or "nowhere" in each for each in said)
    assert any("subscriptions" in each for each in said)


def test_what_is_not_compared_is_in_the_plan(database: Callable[[], Any]) -> None:
    main, goal = database(), database()
    goal.run("SELECT lo_create(0); CREATE TABLE t (a int)")
    goal.run(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET a.key = %L', current_database(), 's3cret'); END $$"
    )
    plan = make_plan(main.inspect(), goal.inspect(), assume_defaults=True).plan
    assert plan is not None
    notes = "\n".join(plan.notes)
    assert "not compared: large objects; main has none, the goal has 1" in notes
    assert "settings of the database and of roles in it; main has none, the goal has a.key" in notes
    assert "s3cret" not in notes


def test_rows_of_no_known_kind_are_refused_by_name(database: Callable[[], Any]) -> None:
    main, goal = database(), database()
    goal.run("CREATE FUNCTION pg_catalog.ours(int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    with pytest.raises(UnsupportedObject, match=r"unplanned function pg_catalog\.ours\(integer\)"):
        make_plan(main.inspect(), goal.inspect())


def test_every_catalogue_is_known(database: Callable[[], Any]) -> None:
    known = guard.MODELLED | guard.OUTSIDE | guard.BOOKKEEPING
    found = database().rows(
        "select relname from pg_class where relnamespace = 'pg_catalog'::regnamespace and relkind = 'r'"
    )
    assert {str(name) for (name,) in found} - known == set()


def test_an_unknown_catalogue_is_named(database: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MODELLED", guard.MODELLED - {"pg_cast"})
    assert dict(database().inspect().uncompared)["catalogues that this version does not know"] == "pg_cast"


def test_a_password_is_in_no_sentence(database: Callable[[], Any]) -> None:
    main, goal = database(), database()
    for each, password in ((main, "hunter2"), (goal, "hunter3")):
        each.run("CREATE FOREIGN DATA WRAPPER w; CREATE SERVER sv FOREIGN DATA WRAPPER w")
        each.run(f"CREATE USER MAPPING FOR PUBLIC SERVER sv OPTIONS (user 'a', password '{password}')")
    base, wanted = main.inspect(), goal.inspect()
    digests = [value for snapshot in (base, wanted) for _, value in _secrets(snapshot)]
    with pytest.raises(UnsupportedObject) as refused:
        make_plan(base, wanted)
    said = refused.value.message + " ".join(describe_difference(base, wanted))
    assert "user mapping sv.public" in said
    assert len(digests) == 2
    assert not any(secret in said for secret in ("hunter", *digests))


def _secrets(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [pair for each in snapshot.objects.values() if isinstance(each, Stated) for pair in each.secrets]
