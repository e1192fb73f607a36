"""Data integrity beyond counts, on a real PostgreSQL: samples, casts, new columns, orphans; faults and clean twins."""

import pytest

from orchestrator.checks.data import compare_sums
from orchestrator.checks.integrity import integrity
from orchestrator.checks.new_columns import new_columns
from orchestrator.checks.report import Severity
from orchestrator.checks.sums import Limits, TableSums, sum_again, sum_tables
from orchestrator.migration.plan import Plan, Statement

PLAN = Plan(base="a", goal="b", statements=(Statement(sql="select 1", why="x"),))
SMALL = Limits(exact_bytes=20_000)
#: 30,000 rows over two columns of a key, stored in no order of it, and a small table beside it.
LARGE = """
create table large (region text, number bigint, name text, amount numeric(8, 2), primary key (region, number));
insert into large select case i % 3 when 0 then 'north''s' when 1 then 'süd' else 'west' end, i, 'name ' || i, i / 4.0
from generate_series(1, 30000) i order by md5(i::text);
create table small (id int primary key, v text);
insert into small select i, 'v' from generate_series(1, 10) i;
analyze;
"""


def looked(branch, *actions: str, schema: str = LARGE, **options):
    """Findings of values and new columns after these actions, with sums that went through JSON."""
    branch.execute(schema)
    tables = [
        row[0] for row in branch.execute("select 'public.' || relname from pg_class where relkind in ('r', 'p') "
                                         "and relnamespace = 'public'::regnamespace").fetchall()
    ]  # fmt: skip
    stored = {table: sums.to_json() for table, sums in sum_tables(branch, tables, **options).items()}
    before = {table: TableSums.from_json(value) for table, value in stored.items()}
    for action in actions:
        branch.execute(action)
    after = sum_again(branch, before)
    found = (*compare_sums(before, after, PLAN), *new_columns(branch, before, after))
    return before, {f.subject: f for f in found}


def test_of_a_large_table_the_same_rows_are_found_again_wherever_they_are_stored(branch):
    before, found = looked(
        branch,
        "alter table large alter column number type int, add column extra int default 7",
        "create index byname on large (md5(name)); cluster large using byname",
        limits=SMALL,
    )
    sums = before["public.large"]
    assert 30 <= len(sums.ranges) <= 41
    assert 5_000 <= sums.rows <= 10_250
    assert found["public.large"].severity is Severity.OK
    assert (
        found["public.large"].message
        == f"4 columns hold exactly the values of before (a sample: {sums.rows:,} rows of "
        f"{len(sums.ranges)} ranges of keys read)"
    )
    assert found["public.large.extra"].message == (
        f"new: none of {sums.rows:,} rows is NULL, {sums.rows:,} have the default"
    )
    assert not before["public.small"].ranges


@pytest.mark.parametrize(
    ("fault", "severity"),
    [
        ("update large set name = upper(name)", Severity.BLOCKED),
        ("update large set amount = null where number % 5 = 0", Severity.BLOCKED),
        ("delete from large where number % 2 = 0", Severity.NOT_LOOKED_AT),
    ],
)
def test_a_fault_spread_over_a_large_table_is_seen_in_its_sample(branch, fault, severity):
    _, found = looked(branch, fault, limits=SMALL)
    assert severity in {f.severity for subject, f in found.items() if subject.startswith("public.large")}
    assert found["public.small"].severity is Severity.OK


def test_a_partitioned_table_is_sampled_through_its_root(branch):
    schema = """
    create table parts (id int primary key, v text) partition by range (id);
    create table parts_1 partition of parts for values from (0) to (5000);
    create table parts_2 partition of parts for values from (5000) to (20000);
    insert into parts select i, 'v' || i from generate_series(1, 15000) i;
    """
    before, found = looked(branch, "update parts set v = '' where id % 3 = 0", schema=schema, limits=SMALL)
    assert before["public.parts"].ranges
    assert found["public.parts.v"].severity is Severity.BLOCKED


def test_a_unique_key_over_columns_that_are_not_null_stands_in_for_a_primary_key(branch):
    schema = """
    create table keyed (id int not null, v text); create unique index on keyed (id);
    create table partly (id int, v text); create unique index on partly (id);
    insert into keyed select i, 'v' || i from generate_series(1, 5000) i; insert into partly select * from keyed;
    """
    before, found = looked(branch, schema=schema, limits=SMALL)
    assert before["public.keyed"].key == (1,)
    assert found["public.keyed"].severity is Severity.OK
    assert found["public.partly"].severity is Severity.NOT_LOOKED_AT
    assert "no key" in found["public.partly"].message


def test_untouched_tables_are_read_up_to_a_budget_and_touched_ones_always(branch):
    branch.execute(LARGE)
    tables = ["public.large", "public.small"]
    none = Limits(untouched_bytes=0)
    touched = sum_tables(branch, tables, touched={("public", "large")}, limits=none)
    assert list(touched) == tables
    assert touched["public.large"].rows == 30_000
    assert "report.untouched_up_to" in touched["public.small"].unseen
    some = sum_tables(branch, tables, touched=set(), limits=Limits(untouched_bytes=100_000))
    assert some["public.small"].rows == 10
    assert some["public.large"].unseen


def test_reading_all_that_takes_too_long_becomes_a_sample(branch):
    """One row's text takes a minute to make; the sample does not hold it."""
    branch.execute(
        """
        create type boxed as (n int); create table hard (n int);
        create function text_of(boxed) returns text language plpgsql as $$
        begin if exists (select from public.hard where n = $1.n) then perform pg_sleep(60); end if; return $1.n; end $$;
        create cast (boxed as text) with function text_of(boxed);
        create table slow (id int primary key, v boxed);
        insert into slow select i, row(i)::boxed from generate_series(1, 60000) i;
        """
    )
    sample = sum_tables(branch, ["public.slow"], limits=Limits(exact_bytes=0))["public.slow"]
    read = [(int(each.first[0]), int((each.last or ("60000",))[0])) for each in sample.ranges]
    branch.execute(
        "insert into hard values (%s)",
        (next(n for n in range(1, 60000) if not any(a <= n <= b for a, b in read)),),
    )
    seen = sum_tables(branch, ["public.slow"], timeout_ms=5_000)["public.slow"]
    assert (seen.ranges, seen.rows, seen.unseen) == (sample.ranges, sample.rows, "")


CASTS = """
create table t (id int primary key, whole numeric(8, 2), parts numeric(8, 2), word text, made text);
insert into t select i, i, i / 4.0, i::text, 'x' from generate_series(1, 100) i;
"""


def test_a_column_whose_type_changed_is_compared_by_value(branch):
    casts = {"public.t": {"whole": "integer", "parts": "integer", "word": "bigint", "made": "no_such_type"}}
    before, found = looked(
        branch,
        "alter table t alter column whole type integer, alter column parts type integer,"
        " alter column word type bigint using word::bigint",
        schema=CASTS,
        casts=casts,
    )
    assert found["public.t.whole"].severity is Severity.OK
    assert "cast back, all are as they were" in found["public.t.whole"].message
    assert found["public.t.parts"].severity is Severity.ATTENTION
    assert found["public.t.parts"].message.startswith("75 of 100 values lost something")
    assert "public.t.word" not in found  # it reads the same
    assert before["public.t"].columns[5].cast == ""


def test_a_type_change_that_made_other_values_needs_attention(branch):
    casts = {"public.t": {"whole": "integer"}}
    change = "alter table t alter column whole type integer using (whole * 100)::integer"
    _, found = looked(branch, change, schema=CASTS, casts=casts)
    assert found["public.t.whole"].severity is Severity.ATTENTION
    assert "values read differently" in found["public.t.whole"].message


def test_a_key_whose_type_changes_binds_values_as_before(branch):
    schema = "create table t (id numeric(8, 2) primary key, v text); insert into t values (1, 'a'), (2, 'b')"
    casts = {"public.t": {"id": "numeric(12,4)"}}
    _, found = looked(branch, "alter table t alter column id type numeric(12, 4)", schema=schema, casts=casts)
    assert {f.severity for f in found.values()} == {Severity.OK}


def test_a_key_that_is_generated_binds_values_as_before(branch):
    schema = """create table t (v int, id bigint generated always as (v + 1) stored primary key, at timestamptz);
    insert into t (v, at) select i, now() from generate_series(1, 9) i"""
    _, found = looked(branch, "alter table t add column more int", schema=schema, casts={})
    assert found["public.t"].message.startswith("2 columns hold exactly the values of before")
    _, found = looked(
        branch, "update t set at = now() - interval '1 s' where v = 3", schema="select 1", casts={}
    )
    assert found["public.t.at"].severity is Severity.BLOCKED


def test_old_rows_without_the_default_of_a_new_column_need_attention(branch):
    fault = "alter table small add column note text; alter table small alter column note set default 'web'"
    _, found = looked(branch, fault, "update small set note = 'x' where id = 1")
    finding = found["public.small.note"]
    assert (finding.severity, finding.message) == (
        Severity.ATTENTION,
        "new: 9 of 10 rows are NULL, 0 have the default, though it has a default",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("add column note text", "new: all 10 rows are NULL"),
        ("add column note text not null default 'web'", "new: none of 10 rows is NULL, 10 have the default"),
        ("add column note int not null default -1", "new: none of 10 rows is NULL, 10 have the default"),
        ("add column note bigint generated always as identity", "new: none of 10 rows is NULL"),
        ("add column note timestamptz default now()", "new: none of 10 rows is NULL"),
    ],
)
def test_new_columns_of_a_clean_migration_are_ok(branch, change, message):
    _, found = looked(branch, f"alter table small {change}")
    assert (found["public.small.note"].severity, found["public.small.note"].message) == (Severity.OK, message)


ORPHANS = """
create table "Parent" (a int, b text, primary key (a, b)); insert into "Parent" values (1, 'x'), (2, 'y');
create table child (id int primary key, a int, b text, constraint up foreign key (a, b) references "Parent");
insert into child values (1, 1, 'x'), (2, 2, 'y'), (3, null, 'z');
"""
BEHIND = "set session_replication_role = replica; {}; reset session_replication_role"


def orphans(connection, **options):
    return {f.subject: f for f in integrity(connection, **options) if f.severity is not Severity.OK}


def test_rows_that_point_at_nothing_block_and_are_named_by_their_keys(branch, reader):
    branch.execute(ORPHANS)
    assert orphans(reader) == {}
    branch.execute(BEHIND.format("insert into child select i, 9, 'secret' from generate_series(11, 17) i"))
    finding = orphans(reader)["public.child.up"]
    assert finding.severity is Severity.BLOCKED
    assert '7 rows point at no row of public."Parent"' in finding.message
    assert "for example id=11, id=12" in finding.message
    assert "and 2 more" in finding.message
    assert "secret" not in finding.message


def test_a_foreign_key_that_was_never_validated_tells_how_many_rows_break_it(branch, reader):
    branch.execute(ORPHANS)
    branch.execute("alter table child drop constraint up; insert into child values (4, 9, 'x')")
    branch.execute('alter table child add constraint up foreign key (a, b) references "Parent" not valid')
    finding = orphans(reader)["public.child.up"]
    assert finding.severity is Severity.ATTENTION
    assert "1 row points at no row" in finding.message
    branch.execute("delete from child where id = 4")
    assert "ALTER TABLE public.child VALIDATE CONSTRAINT up" in orphans(reader)["public.child.up"].message
    branch.execute("alter table child validate constraint up")
    assert orphans(reader) == {}


def test_orphans_of_untouched_tables_are_looked_for_up_to_a_budget(branch, reader):
    branch.execute(ORPHANS)
    branch.execute(BEHIND.format('delete from "Parent" where a = 1'))
    none = Limits(untouched_bytes=0)
    assert orphans(reader, limits=none)["foreign keys"].severity is Severity.NOT_LOOKED_AT
    found = orphans(reader, limits=none, touched={("public", "Parent")})
    assert found["public.child.up"].severity is Severity.BLOCKED


def test_orphans_in_partitions_are_found_through_the_root(branch, reader):
    branch.execute(
        """
        create table ref (id int primary key); insert into ref values (1);
        create table p (id int, ref int references ref) partition by range (id);
        create table p1 partition of p for values from (0) to (10);
        insert into p values (1, 1), (2, null);
        """
    )
    assert orphans(reader) == {}
    branch.execute(BEHIND.format("insert into p values (3, 8)"))
    assert "ctid=" in orphans(reader)["public.p.p_ref_fkey"].message
