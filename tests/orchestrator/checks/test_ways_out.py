"""What lets the branch's own server call out is found, as a role that can only read; what does not is not blamed."""

from orchestrator.checks.report import Severity
from orchestrator.checks.ways_out import ways_out
from orchestrator.database import Connection


def found(connection: Connection) -> dict[str, tuple[Severity, str]]:
    return {each.subject: (each.severity, each.message) for each in ways_out(connection)}


def test_nothing_leads_out_of_a_plain_database(reader: Connection) -> None:
    assert [severity for severity, _ in found(reader).values()] == [Severity.OK]
    assert list(found(reader)) == ["database"]


def test_a_foreign_server_counts_when_credentials_came_with_it(
    branch: Connection, reader: Connection
) -> None:
    branch.execute("create foreign data wrapper postgres_fdw")
    branch.execute(
        "create server books foreign data wrapper postgres_fdw options (host 'books.internal', port '5433')"
    )
    assert found(reader)["server books"][0] is Severity.OK
    branch.execute(
        "create user mapping for public server books options (user 'app', password 'not-to-be-told')"
    )
    branch.execute(
        "create user mapping for reader server books options (user 'app', password 'not-to-be-told')"
    )
    severity, message = found(reader)["server books"]
    assert severity is Severity.ATTENTION
    assert "user mapping for public, reader" in message
    assert "books.internal:5433" in message
    assert all("not-to-be-told" not in str(each.to_json()) for each in ways_out(branch))


def test_an_enabled_subscription_is_told(branch: Connection, reader: Connection) -> None:
    branch.execute(
        "create subscription news connection 'host=/nowhere' publication p "
        "with (connect = false, enabled = false, slot_name = 'news')"
    )
    try:
        assert list(found(reader)) == ["database"]
        branch.execute("alter subscription news enable")
        assert found(reader)["subscription news"][0] is Severity.ATTENTION
    finally:
        branch.execute("alter subscription news disable")
        branch.execute("alter subscription news set (slot_name = none)")
        branch.execute("drop subscription news")


def test_extensions_that_call_out_are_told_with_the_functions_that_do(
    branch: Connection, reader: Connection
) -> None:
    branch.execute("set allow_system_table_mods = on")  # the wheel's PostgreSQL has none of them
    for number, name in enumerate(("dblink", "http")):
        branch.execute(
            "insert into pg_extension select 90000 + %s, %s, extowner, extnamespace, false, '1', null, null "
            "from pg_extension where extname = 'plpgsql'",
            (number, name),
        )
    assert {subject: severity for subject, (severity, _) in found(reader).items()} == {
        "extension dblink": Severity.NOT_LOOKED_AT,
        "extension http": Severity.NOT_LOOKED_AT,
    }
    branch.execute(
        "create function books() returns text language plpgsql as $$ begin return dblink_connect('host=x'); end $$"
    )
    severity, message = found(reader)["extension dblink"]
    assert severity is Severity.ATTENTION
    assert message.startswith("public.books() call out by it")
