"""Each kind of change taken back after writes, row by row: a twin that never saw it got the same in old words."""

from dataclasses import dataclass, field

import pytest

from orchestrator.errors import Refused
from tests.orchestrator.promotion.test_reverting import MakeYard, fingerprint_of, look, promoted, revert

SCHEMA = """
create type mood as enum ('sad', 'happy', 'calm');
create table customers (
  id int primary key, name text not null, fax text, age int, code text, price numeric(10, 2), mood mood, born date);
create table orders (id int primary key, customer int references customers, total int);
insert into customers select n, 'c' || n, 'f' || n, n, lpad(n::text, 3, '0'), n + 0.25,
  case when n % 2 = 0 then 'happy' else 'calm' end::mood, date '2000-01-01' + n from generate_series(1, 40) n;
insert into orders select n, n, n from generate_series(1, 40) n;
"""
_ROWS = (
    "select id, name, fax, age, code, price, mood, born from customers order by id",
    "select id, customer, total from orders order by id",
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A change, and a life after it.

    Attributes:
        change: what is promoted.
        answers: to its questions.
        writes: what is written after it, in the new words.
        twins: the same in the old words, with what the losses that are named have done.
        named: what the way back says that it cannot bring back; empty: it says nothing is lost for good.
        refused: what stops it, until `mended`.
    """

    change: str
    writes: str
    twins: str
    answers: dict[str, str] = field(default_factory=dict)
    named: tuple[str, ...] = ()
    refused: str = ""
    mended: str = ""


#: Written in every case, in words that none of them changes.
_ALWAYS = (
    "delete from orders where id = 3; update orders set total = 1000 where id = 5;"
    "insert into orders values (99, 1, 9)"
)

CASES = {
    "a column dropped": Case(
        change="alter table customers drop column fax",
        writes="insert into customers (id, name) values (100, 'new'); update customers set name = 'x' where id = 1;"
        "delete from orders where id = 40; delete from customers where id = 40",
        twins="insert into customers (id, name) values (100, 'new'); update customers set name = 'x' where id = 1;"
        "delete from orders where id = 40; delete from customers where id = 40",
    ),
    "a table dropped": Case(
        change="drop table customers cascade",
        writes="",
        twins="",
    ),
    "a column renamed": Case(
        change="alter table customers rename column name to full_name",
        answers={"rename:column:public.customers.full_name": "name"},
        writes="insert into customers (id, full_name) values (100, 'new');"
        "update customers set full_name = 'x' where id = 1",
        twins="insert into customers (id, name) values (100, 'new'); update customers set name = 'x' where id = 1",
    ),
    "a table renamed": Case(
        change="alter table customers rename to people",
        answers={"rename:table:public.people": "customers"},
        writes="insert into people (id, name) values (100, 'new'); update people set age = 7 where id = 1",
        twins="insert into customers (id, name) values (100, 'new'); update customers set age = 7 where id = 1",
    ),
    "a wider type": Case(
        change="alter table customers alter column age type bigint",
        writes="update customers set age = 2000000000 where id = 1; insert into customers (id, name) values (100, 'n')",
        twins="update customers set age = 2000000000 where id = 1; insert into customers (id, name) values (100, 'n')",
    ),
    "a wider type, and a value that only it holds": Case(
        change="alter table customers alter column age type bigint",
        writes="update customers set age = 3000000000 where id = 1",
        twins="update customers set age = 3 where id = 1",
        refused="age",
        mended="update customers set age = 3 where id = 1",
    ),
    "a type that changes values": Case(
        change="alter table customers alter column code type int using code::int",
        writes="update customers set code = 77 where id = 1",
        twins="update customers set code = code::int::text; update customers set code = '77' where id = 1",
        named=("values of public.customers.code that do not survive text to integer and back: 40 values",),
    ),
    "a coarser type": Case(
        change="alter table customers alter column price type integer",
        writes="update customers set price = 1000 where id = 1",
        twins="update customers set price = round(price); update customers set price = 1000 where id = 1",
        named=("values of public.customers.price that do not survive",),
    ),
    "a new NOT NULL": Case(
        change="alter table orders alter column total set not null",
        writes="insert into orders values (100, 1, 0)",
        twins="insert into orders values (100, 1, 0)",
    ),
    "a NOT NULL taken away, and a NULL": Case(
        change="alter table customers alter column name drop not null",
        writes="update customers set name = null where id = 1",
        twins="update customers set name = 'again' where id = 1",
        refused="name",
        mended="update customers set name = 'again' where id = 1",
    ),
    "a new column that must have a value": Case(
        change="alter table customers add column level int not null default 1",
        writes="insert into customers (id, name, level) values (100, 'new', 5)",
        twins="insert into customers (id, name) values (100, 'new')",
        named=("set aside",),
    ),
    "a label added, and used": Case(
        change="alter type mood add value 'angry'",
        writes="update customers set mood = 'angry' where id = 1; update customers set mood = 'sad' where id = 2",
        twins="update customers set mood = 'calm' where id = 1; update customers set mood = 'sad' where id = 2",
        refused="mood",
        mended="update customers set mood = 'calm' where id = 1",
    ),
    "a label taken away": Case(
        change="alter type mood rename to old; create type mood as enum ('happy', 'calm');"
        "alter table customers alter column mood type mood using mood::text::mood; drop type old",
        writes="update customers set mood = 'happy' where id = 1",
        twins="update customers set mood = 'happy' where id = 1",
    ),
    "a label renamed": Case(
        change="alter type mood rename value 'happy' to 'glad'",
        answers={"rename:label:public.mood.glad": "happy"},
        writes="update customers set mood = 'glad' where id = 1",
        twins="update customers set mood = 'happy' where id = 1",
    ),
}


@pytest.mark.prove
@pytest.mark.parametrize("name", CASES)
def test_row_by_row(make_yard: MakeYard, name: str) -> None:
    case, yard = CASES[name], make_yard(SCHEMA)
    fingerprint = fingerprint_of(yard)
    made = promoted(yard, case.change, case.answers)
    twin = made.last("restore_point")["branch"]["name"]
    assert fingerprint_of(yard) != fingerprint
    for sql, twins in ((case.writes, case.twins), (_ALWAYS, _ALWAYS)):
        yard.main(sql)
        yard.on(twin, twins)

    said = look(yard).losses
    for words in case.named:
        assert any(words in each for each in said), said
    if not case.named:
        assert not said, said
    if case.refused:
        with pytest.raises(Refused, match=case.refused):
            revert(yard)
        yard.main(case.mended)
    assert revert(yard).state == "done"

    assert fingerprint_of(yard) == fingerprint
    for select in _ROWS:
        assert yard.main(select) == yard.on(twin, select)
