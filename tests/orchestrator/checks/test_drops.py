"""What goes with a drop and who uses it, on a real PostgreSQL: each kind of dependent, and clean twins."""

import pytest

from orchestrator.checks.drops import drops, still_named
from orchestrator.checks.report import Severity
from orchestrator.checks.sums import Limits
from orchestrator.migration.plan import Hazard, Plan, Statement

SCHEMA = """
create table people (id int primary key, fax text, name text);
insert into people select i, case when i <= 40 then 'fax ' || i end, 'n' from generate_series(1, 100) i;
create table other (id int primary key, fax text);
"""
MADE = """
create function g() returns trigger language plpgsql as 'begin {} return new; end';
create trigger t before {} on people for each row execute function g()
"""
COLUMN, TABLE = "ALTER TABLE public.people DROP COLUMN fax", "DROP TABLE public.people"


def plan_of(sql: str, on: str) -> Plan:
    hazard = Hazard(code="deletes_data", on=on, detail="gone")
    return Plan(base="a", goal="b", statements=(Statement(sql=sql, why="x", hazards=(hazard,)),))


FAX, PEOPLE = plan_of(COLUMN, "public.people.fax"), plan_of(TABLE, "public.people")


def test_a_dropped_column_tells_its_values_and_bytes(branch, reader):
    branch.execute(SCHEMA)
    [finding] = drops(reader, FAX)
    assert (finding.subject, finding.severity) == ("public.people.fax", Severity.ATTENTION)
    assert finding.message == "40 values (271 bytes) go with it; nothing in the database uses it"
    assert finding.evidence == {"rows": 40, "bytes": 271, "exact": True, "used_by": []}


def test_an_empty_column_that_nobody_uses_is_ok(branch, reader):
    branch.execute(SCHEMA)
    branch.execute("update people set fax = null")
    assert [f.severity for f in drops(reader, FAX)] == [Severity.OK]


def test_a_large_table_is_not_read_its_statistics_are_asked(branch, reader):
    branch.execute(SCHEMA)
    branch.execute("analyze people")
    [finding] = drops(reader, FAX, limits=Limits(exact_bytes=100))
    assert finding.message.startswith("about 40 values")
    assert finding.evidence["exact"] is False


@pytest.mark.parametrize(
    ("user", "named"),
    [
        ("create view v as select fax from people", "view public.v"),
        ("create materialized view m as select max(fax) x from people", "materialized view public.m"),
        ("alter table people add column short text generated always as (left(fax, 3)) stored",
         "column public.people.short"),
        ("create policy mine on people using (fax is null)", "policy mine on public.people"),
        ("create function look() returns text language sql begin atomic select max(fax) from people; end",
         "function public.look()"),
        ("create function f() returns text language sql as 'select max(fax) from people'",
         "function public.f() (names it)"),
        (MADE.format("new.fax := 1;", "insert"),
         "function public.g() (trigger of public.people) (names it)"),
        (MADE.format("", "update of fax"),
         "trigger t on public.people"),
        ("create unique index u on people (fax); create table pointing (f text references people (fax))",
         "foreign key public.pointing.pointing_f_fkey"),
    ],
)  # fmt: skip
def test_who_uses_a_dropped_column_is_named(branch, reader, user, named):
    branch.execute(SCHEMA)
    branch.execute(user)
    [finding] = drops(reader, FAX)
    assert finding.evidence["used_by"] == [named]
    assert f"used by {named}" in finding.message


@pytest.mark.parametrize(
    "stranger",
    [
        "create view v as select name from people",
        "create view v as select fax from other",
        "create function f() returns text language sql as 'select max(fax) from other'",
        "create function f() returns text language sql as 'select max(name) from people'",
        "create function f() returns text language sql as 'select max(faxes) from (select 1 as faxes) peoples'",
    ],
)
def test_who_does_not_use_it_is_not(branch, reader, stranger):
    branch.execute(SCHEMA)
    branch.execute(stranger)
    [finding] = drops(reader, FAX)
    assert finding.evidence["used_by"] == []


def test_a_dropped_table_tells_its_rows_and_everybody_who_uses_it(branch, reader):
    branch.execute(SCHEMA)
    branch.execute(
        "create table child (id int references people); create view v as select name from people;"
        "create function f() returns bigint language sql as 'select count(*) from people'"
    )
    [finding] = drops(reader, PEOPLE)
    assert finding.message.startswith("100 rows (")
    assert finding.evidence["used_by"] == [
        "foreign key public.child.child_id_fkey",
        "view public.v",
        "function public.f() (names it)",
    ]


def test_a_renamed_table_is_found_under_its_name_of_before(branch, reader):
    branch.execute(SCHEMA)
    rename = Statement(sql="ALTER TABLE public.people RENAME TO humans", why="x", lock_on=("public.people",))
    drop = plan_of("ALTER TABLE public.humans DROP COLUMN fax", "public.humans.fax")
    [finding] = drops(reader, Plan(base="a", goal="b", statements=(rename, *drop.statements)))
    assert finding.evidence["rows"] == 40


def test_a_function_left_behind_that_names_what_is_gone_is_found(branch, reader):
    branch.execute(SCHEMA)
    branch.execute("create function f() returns text language plpgsql as "
                   "'begin return (select max(fax) from people); end'")  # fmt: skip
    branch.execute(COLUMN)
    [finding] = still_named(reader, FAX)
    assert (finding.severity, finding.subject) == (Severity.ATTENTION, "function public.f()")
    branch.execute(
        "create or replace function f() returns text language sql as 'select max(name) from people'"
    )
    [finding] = still_named(reader, FAX)
    assert finding.severity is Severity.OK


def test_what_may_not_be_read_is_not_looked_at(branch, stranger):
    branch.execute(SCHEMA)
    [finding] = drops(stranger, FAX)
    assert finding.severity is Severity.NOT_LOOKED_AT
    assert drops(stranger, Plan(base="a", goal="a", statements=())) == ()
