"""Snapshots as values: equality, fingerprint, JSON, renames; without any database."""

import json
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.diff import describe_difference, diff
from orchestrator.schema.names import Key, dotted, literal, quote
from orchestrator.schema.objects import (
    Column,
    Constraint,
    Default,
    Enum,
    Function,
    Index,
    Leftover,
    Object,
    Other,
    Schema,
    Sequence,
    Table,
    Trigger,
    View,
)
from orchestrator.schema.privileges import Privileges
from orchestrator.schema.renames import Renames, renamed

T = ("public", "t")


def sample() -> list[Object]:
    """One object of each class."""
    return [
        Schema(key=Key("schema", ("public",))),
        Table(key=Key("table", T), options=(("fillfactor", "70"),), comment="it's"),
        Column(key=Key("column", (*T, "id")), type="integer", not_null=True, position=1),
        Column(key=Key("column", (*T, "Name")), type="text", position=2, settings=(("STORAGE", "MAIN"),)),
        Default(key=Key("default", (*T, "Name")), expression="'x'::text"),
        Constraint(
            key=Key("constraint", (*T, "c")), type="check",
            definition='CHECK ((length("Name") > 0))', columns=("Name",)
        ),
        Index(key=Key("index", ("public", "i")), table=T, unique=True, definition='btree (lower("Name"))'),
        Sequence(
            key=Key("sequence", ("public", "s")), type="bigint", start=1, increment=1, minimum=1, maximum=9, cache=1,
            cycle=False, owned_by=(*T, "id"),
        ),
        Enum(key=Key("enum", ("public", "e")), labels=("a", "b")),
        View(key=Key("view", ("public", "v")), definition="SELECT t", columns=(("Name", "text"),)),
        Function(key=Key("function", ("public", "f", "int")), routine="function", definition="...", shape="[]"),
        Trigger(key=Key("trigger", (*T, "g")), definition="CREATE TRIGGER g BEFORE INSERT ON public.t EXECUTE"),
        Other(key=Key("policy", (*T, "p")), digest="ab", of=Key("table", T)),
    ]  # fmt: skip


def snapshot(objects: list[Object]) -> Snapshot:
    table = Key("table", T)
    return Snapshot(
        objects={each.key: each for each in objects},
        needs={
            Key("view", ("public", "v")): (Key("column", (*T, "Name")),),
            Key("policy", (*T, "p")): (table,),
        },
        privileges={
            Key("view", ("public", "v")): Privileges(
                owner="o", granted=(("SELECT", "PUBLIC", False),), revoked=(("USAGE", "PUBLIC"),)
            )
        },
        lineage={table: "16384"},
        origin="1/5",
        sizes={table: (8192, 3)},
        leftovers=(Leftover(key=Key("index", ("public", "preview_tmp_x")), table=T, valid=False),),
        role="me",
        roles=("me", "o"),
    )


@given(st.randoms(use_true_random=False))
def test_the_fingerprint_is_independent_of_order_and_facts(chance: random.Random) -> None:
    objects = sample()
    chance.shuffle(objects)
    mixed = snapshot(objects)
    bare = Snapshot(objects={each.key: each for each in sample()})
    assert mixed.fingerprint() == bare.fingerprint()
    assert mixed == bare
    assert not diff(mixed, bare)
    assert describe_difference(mixed, bare) == ()


def test_json_brings_everything_back() -> None:
    before = snapshot(sample())
    after = Snapshot.from_json(json.loads(json.dumps(before.to_json())))
    assert after == before
    assert after.fingerprint() == before.fingerprint()
    for name in ("needs", "privileges", "lineage", "origin", "sizes", "leftovers", "role", "roles"):
        assert getattr(after, name) == getattr(before, name)
    assert after.to_json() == before.to_json()


def test_every_attribute_that_counts_changes_the_fingerprint() -> None:
    before = snapshot(sample())
    for thing in sample():
        changed = snapshot(
            [replace(each, comment="new") if each.key == thing.key else each for each in sample()]
        )
        assert changed.fingerprint() != before.fingerprint(), thing
        assert diff(before, changed).changed == {thing.key}


def test_a_position_is_no_difference() -> None:
    moved = [replace(each, position=7) if isinstance(each, Column) else each for each in sample()]
    assert snapshot(moved) == snapshot(sample())
    assert snapshot(moved).fingerprint() == snapshot(sample()).fingerprint()


def test_differences_are_sentences_in_a_fixed_order() -> None:
    before = snapshot(sample())
    after = snapshot(
        [replace(each, type="text") if isinstance(each, Column) else each for each in sample()[:-1]]
    )
    assert describe_difference(before, after) == (
        "column public.t.id: type is 'integer', should be 'text'",
        "policy public.t.p should not be there",
    )


def test_renames_reach_every_corner() -> None:
    table = Renames(keys={Key("table", T): Key("table", ("public", "New t"))})
    column = Renames(
        keys={Key("column", ("public", "New t", "Name")): Key("column", ("public", "New t", "whole"))}
    )
    after = renamed(renamed(snapshot(sample()), table), column)
    new = ("public", "New t")
    assert after.objects[Key("constraint", (*new, "c"))] == Constraint(
        key=Key("constraint", (*new, "c")),
        type="check",
        definition="CHECK ((length(whole) > 0))",
        columns=("whole",),
    )
    index = after.objects[Key("index", ("public", "i"))]
    assert isinstance(index, Index)
    assert (index.table, index.definition) == (new, "btree (lower(whole))")
    assert Key("default", (*new, "whole")) in after.objects
    assert Key("policy", (*new, "p")) in after.objects
    trigger = after.objects[Key("trigger", (*new, "g"))]
    assert isinstance(trigger, Trigger)
    assert ' ON public."New t" ' in trigger.definition
    assert after.needs[Key("view", ("public", "v"))] == (Key("column", (*new, "whole")),)
    assert after.sizes == {Key("table", new): (8192, 3)}
    assert not [key for key in after.objects if key.path[:2] == T]


def test_a_foreign_key_follows_both_sides() -> None:
    key = Key("constraint", ("public", "c", "f"))
    before = Snapshot(
        objects={
            key: Constraint(
                key=key, type="foreign", definition="FOREIGN KEY (k) REFERENCES public.t(k) ON DELETE CASCADE",
                columns=("k",), references=T, reference_columns=("k",),
            )
        }
    )  # fmt: skip
    renames = Renames(
        keys={
            Key("table", T): Key("table", ("public", "u")),
            Key("column", (*T, "k")): Key("column", ("public", "u", "key")),
        }
    )
    after = renamed(before, renames).objects[key]
    assert isinstance(after, Constraint)
    assert after.definition == "FOREIGN KEY (k) REFERENCES public.u(key) ON DELETE CASCADE"
    assert (after.columns, after.references, after.reference_columns) == (("k",), ("public", "u"), ("key",))


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_quoting_can_be_undone(name: str) -> None:
    quoted = quote(name)
    assert (quoted[1:-1].replace('""', '"') if quoted.startswith('"') else quoted) == name
    assert dotted(name, name) == f"{quoted}.{quoted}"
    bare = literal(name).strip().removeprefix("E")[1:-1]
    assert bare.replace("''", "'").replace("\\\\", "\\") == name


def test_names_are_quoted_where_postgres_would() -> None:
    assert [quote(each) for each in ("abc", "a1_b", "Abc", "1a", "select", "user", "name", "a.b", "größe", "")] == [
        "abc", "a1_b", '"Abc"', '"1a"', '"select"', '"user"', "name", '"a.b"', '"größe"', '""',
    ]  # fmt: skip
