"""Inspecting: reads only, leaves the session as it was, leaves out what is not the user's."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orchestrator.errors import DatabaseUnreachable, LockNotAcquired
from orchestrator.postgres.inspect import inspect
from orchestrator.schema.names import Key


def test_the_session_is_as_before(database: Callable[..., Any]) -> None:
    main = database()
    with main.connect() as connection:
        connection.execute("set search_path = public; set timezone = 'Asia/Tokyo'; set datestyle = 'German'")
        inspect(connection)
        row = connection.execute(
            "select current_setting('search_path'), current_setting('timezone')"
        ).fetchone()
        assert row == ("public", "Asia/Tokyo")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_settings_of_the_session_do_not_change_what_is_seen(database: Callable[..., Any]) -> None:
    main = database()
    main.run(
        "CREATE SCHEMA s; CREATE TYPE s.e AS ENUM ('a'); CREATE TABLE s.t (a s.e DEFAULT 'a', b timestamptz DEFAULT"
        " '2020-01-01 00:00+00', c interval DEFAULT '1 day', d float8 DEFAULT 0.1, e bytea DEFAULT 'x')"
    )
    plain = main.inspect()
    with main.connect() as connection:
        connection.execute(
            "set search_path = s; set timezone = 'Asia/Tokyo'; set datestyle = 'German';"
            " set intervalstyle = 'iso_8601';"
            " set quote_all_identifiers = on; set extra_float_digits = -10; set bytea_output = 'escape'"
        )
        assert inspect(connection).fingerprint() == plain.fingerprint()


def test_what_is_not_the_users_is_left_out(database: Callable[..., Any]) -> None:
    main = database()
    empty = main.inspect().fingerprint()
    main.run(
        "CREATE SCHEMA preview_internal; CREATE TABLE preview_internal.x (a int); CREATE TEMP TABLE y (a int)"
    )
    assert main.inspect().fingerprint() == empty
    main.run(
        "CREATE TABLE t (a int, CONSTRAINT preview_tmp_c CHECK (a > 0)); CREATE INDEX preview_tmp_i ON t (a)"
    )
    seen = main.inspect()
    assert {each.key for each in seen.leftovers} == {
        Key("constraint", ("public", "t", "preview_tmp_c")),
        Key("index", ("public", "preview_tmp_i")),
    }
    main.run("ALTER TABLE t DROP CONSTRAINT preview_tmp_c; DROP INDEX preview_tmp_i")
    assert main.inspect().fingerprint() == seen.fingerprint()


def test_what_belongs_to_an_extension_is_the_extensions(database: Callable[..., Any]) -> None:
    main = database()
    before = set(main.inspect().objects)
    main.run("CREATE EXTENSION vector")
    assert {str(key) for key in set(main.inspect().objects) - before} == {"extension vector"}
    main.run("CREATE TABLE t (v vector(3)); CREATE INDEX i ON t USING hnsw (v vector_l2_ops)")
    needs = main.inspect().needs
    assert Key("extension", ("vector",)) in needs[Key("column", ("public", "t", "v"))]


def test_a_lost_connection_and_a_lock_are_ours_to_say(database: Callable[..., Any]) -> None:
    main = database()
    main.run("CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t")
    connection = main.connect()
    with main.connect() as killer:
        killer.execute("select pg_terminate_backend(%s, 5000)", (connection.info.backend_pid,))
    with pytest.raises(DatabaseUnreachable):
        inspect(connection)
    with main.connect() as holder, main.connect() as reader:
        holder.execute("begin; lock table v in access exclusive mode")
        with pytest.raises(LockNotAcquired, match="waited 5s for a lock"):
            inspect(reader)
