"""Settled texts: one form for what a dump and a restore would change, and nothing else touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.schema.settled import settled, settled_routine

LIST = "(ARRAY['a'::character varying, 'b''], ('::character varying])::text[]"
EACH = "ARRAY[('a'::character varying)::text, ('b''], ('::character varying)::text]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"CHECK (((status)::text = ANY ({LIST})))", f"CHECK (((status)::text = ANY ({EACH})))"),
        (f"(a = ANY ({LIST})) AND (b <> ALL ({LIST}))", f"(a = ANY ({EACH})) AND (b <> ALL ({EACH}))"),
        ("(ARRAY[f(a, b), (c)])::numeric(8,2)[]", "ARRAY[(f(a, b))::numeric(8,2), ((c))::numeric(8,2)]"),
        ('(ARRAY[a])::public."My Type"[]', 'ARRAY[(a)::public."My Type"]'),
        # as statistics are shown
        ("ANY (ARRAY['a'::character varying]::text[])", "ANY (ARRAY['a'::character varying::text])"),
        ("FROM ( VALUES (1), (2)) v", "FROM (VALUES (1), (2)) v"),
    ],
)
def test_one_form(text, expected):
    assert settled(text) == expected
    assert settled(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ARRAY[]::text[]",
        "(ARRAY[ARRAY['a'::character varying]])::text[]",
        "ARRAY['a'::text, 'b'::text]",
        "(ARRAY[a, b])",
        f"'{LIST.replace(chr(39), chr(39) * 2)}'::text",
        "'FROM ( VALUES (1))'::text || ARRAY[1]",
        'SELECT "(ARRAY[a])::text[]"',
        "MYARRAY[1]::text[]",
        "ARRAY[1",
    ],
)
def test_what_is_left_alone(text):
    assert settled(text) == text


def test_a_body_is_left_as_it_was_written():
    head = f"CREATE OR REPLACE FUNCTION public.f(x text[] DEFAULT {LIST})\n RETURNS int\n LANGUAGE sql\n"
    body = f"AS $function$ select {LIST} $function$"
    assert settled_routine(head + body) == head.replace(LIST, EACH) + body
    atomic = f"BEGIN ATOMIC\n SELECT {LIST};\nEND"
    assert settled_routine(head + atomic) == (head + atomic).replace(LIST, EACH)


@given(st.text(alphabet="ARRAY[](),':a\" ", max_size=60))
def test_it_is_a_fixpoint_of_its_own(text):
    once = settled("ARRAY[" + text)
    assert settled(once) == once
