"""What differs as lines: members stand with their table, renamed objects on both sides, secrets nowhere."""

from orchestrator.schema.catalog import Snapshot
from orchestrator.schema.names import Key
from orchestrator.schema.objects import (
    Column,
    Constraint,
    Default,
    Enum,
    Index,
    Object,
    Stated,
    Table,
    Trigger,
    View,
)
from orchestrator.schema.shown import MOST_LINES, MOST_OBJECTS, Difference, differences, lines, shortened
from tests.orchestrator.schema.test_snapshot import sample

T = ("public", "t")
TABLE = Key("table", T)


def snapshot(*objects: Object) -> Snapshot:
    return Snapshot(objects={each.key: each for each in objects})


def table(*more: Object) -> Snapshot:
    return snapshot(
        Table(key=TABLE),
        Column(key=Key("column", (*T, "id")), type="integer", not_null=True, position=1),
        *more,
    )


def test_what_belongs_to_a_table_stands_with_it() -> None:
    base = table()
    goal = table(
        Column(key=Key("column", (*T, "Name")), type="text", position=2, comment="it's"),
        Default(key=Key("default", (*T, "Name")), expression="'x'::text"),
        Constraint(
            key=Key("constraint", (*T, "t_pkey")),
            type="primary",
            definition="PRIMARY KEY (id)",
            columns=("id",),
        ),
        Index(key=Key("index", ("public", "i")), table=T, unique=True, definition="btree (id)"),
    )

    (found,) = differences(base, goal)

    assert found.subject == "table public.t"
    assert found.change == "changed"
    assert found.before == ("TABLE public.t", "  id integer NOT NULL")
    assert found.after == (
        "TABLE public.t",
        "  id integer NOT NULL",
        "  \"Name\" text DEFAULT 'x'::text",
        "    COMMENT ON column \"Name\" IS 'it''s'",
        "  CONSTRAINT t_pkey PRIMARY KEY (id)",
        "  UNIQUE INDEX i USING btree (id)",
    )


def test_a_renamed_table_stands_on_both_sides() -> None:
    new = Key("table", ("public", "u"))

    (found,) = differences(
        snapshot(Table(key=TABLE), Column(key=Key("column", (*T, "id")), type="integer")),
        snapshot(Table(key=new), Column(key=Key("column", (*new.path, "id")), type="integer")),
        renames={TABLE: new},
    )

    assert (found.subject, found.change) == ("table public.u", "changed")
    assert (found.before[0], found.after[0]) == ("TABLE public.t", "TABLE public.u")


def test_a_trigger_of_a_view_stands_with_the_view() -> None:
    view = View(key=Key("view", T), definition="SELECT 1")
    trigger = Trigger(
        key=Key("trigger", (*T, "g")), definition="CREATE TRIGGER g INSTEAD OF INSERT ON public.t"
    )

    (found,) = differences(snapshot(view), snapshot(view, trigger))

    assert found.subject == "view public.t"
    assert "  CREATE TRIGGER g INSTEAD OF INSERT ON public.t" in found.after


def test_every_kind_can_be_shown() -> None:
    whole = Snapshot(objects={each.key: each for each in sample()})

    shown = differences(Snapshot(objects={}), whole)

    assert {each.change for each in shown} == {"added"}
    assert all(list(lines(whole, key)) for key in whole.objects)


def test_a_secret_is_named_and_not_shown() -> None:
    mapping = Stated(
        key=Key("user mapping", ("s", "u")), noun="USER MAPPING", create="CREATE USER MAPPING FOR u SERVER s",
        secrets=(("password", "digest-of-it"),),
    )  # fmt: skip

    (found,) = differences(snapshot(), snapshot(mapping))

    assert "digest-of-it" not in "\n".join(found.after)
    assert "  password: kept secret; a digest is compared" in found.after


def test_what_a_row_keeps_is_bounded_and_counted() -> None:
    labels = tuple(f"label {number}" for number in range(MOST_LINES + 10))
    enums = [
        Enum(key=Key("enum", ("public", f"e{number:04}")), labels=("a",))
        for number in range(MOST_OBJECTS + 5)
    ]

    kept = shortened(differences(snapshot(), snapshot(*enums)))
    (long,) = differences(snapshot(), snapshot(Enum(key=Key("enum", ("public", "e")), labels=labels)))

    assert (len(kept["objects"]), kept["left_out"]) == (MOST_OBJECTS, 5)
    assert (len(long.after), long.left_out) == (MOST_LINES, 11)
    assert Difference.from_json(long.to_json()) == long
