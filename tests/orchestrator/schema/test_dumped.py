"""pg_dump's text as entries: what is noise, and what is a difference."""

from orchestrator.schema.dumped import entries, unlike


def entry(name: str, kind: str, body: str, schema: str = "public") -> str:
    return f"--\n-- Name: {name}; Type: {kind}; Schema: {schema}; Owner: -\n--\n\n{body}\n\n\n"


HEAD = "--\n-- A dump\n--\n\nSET statement_timeout = 0;\nSELECT pg_catalog.set_config('x', '', false);\n\n"
END = "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"
ORDERS = entry(
    "orders",
    "TABLE",
    "CREATE TABLE public.orders (\n    id integer NOT NULL,\n    note text\n)\nWITH (a='1', b='2');",
)
INDEX = entry(
    "i",
    "INDEX",
    "CREATE INDEX i ON public.orders USING btree (id) WITH (fillfactor='70', deduplicate_items='off');",
)
BODY = entry(
    "f()",
    "FUNCTION",
    "CREATE FUNCTION public.f() RETURNS int\n    LANGUAGE sql\n    AS $$\n-- one\n\nSET x = 1;\nselect 1$$;",
)


def test_order_of_entries_columns_and_parameters_is_no_difference():
    one = entries(HEAD + ORDERS + "SET default_tablespace = '';\n\n" + INDEX + BODY + END)
    other = entries(
        HEAD.replace("0;", "1;")
        + BODY
        + INDEX.replace(
            "fillfactor='70', deduplicate_items='off'", "deduplicate_items='off', fillfactor='70'"
        )
        + ORDERS.replace(
            "id integer NOT NULL,\n    note text", 'note text,\n    id integer CONSTRAINT "Old name" NOT NULL'
        )
        + END.replace("abc", "def")
    )
    assert unlike(one, other) == ()
    assert list(one) == ["FUNCTION public.f()", "INDEX public.i", "TABLE public.orders"]


def test_every_line_of_a_body_counts():
    assert unlike(entries(HEAD + BODY + END), entries(HEAD + BODY.replace("-- one", "-- two") + END))
    assert unlike(entries(HEAD + BODY + END), entries(HEAD + BODY.replace("-- one\n\n", "-- one\n") + END))


def test_a_difference_has_a_name_and_both_texts():
    missing, changed = unlike(
        entries(HEAD + ORDERS + END),
        entries(HEAD + ORDERS.replace("note text", "note varchar") + INDEX + END),
    )
    assert (missing.entry, missing.have) == ("INDEX public.i", "")
    assert missing.want.startswith("CREATE INDEX i")
    assert changed.entry == "TABLE public.orders"
    assert "note text" in changed.have
    assert "note varchar" in changed.want


def test_an_entry_without_a_schema_has_its_bare_name():
    assert list(entries(HEAD + entry("hstore", "EXTENSION", "CREATE EXTENSION hstore;", "-") + END)) == [
        "EXTENSION hstore"
    ]
