"""The main job, as a person does it: up, click, promote or discard. On both runtimes."""

import contextlib
import html
import os
import subprocess
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from preview.docker import DockerRuntime
from tests.acceptance.shop import ALLOW_FAX, RENAME, Shop, end


def has_engine() -> bool:
    return DockerRuntime().available() is None


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param == "docker" and not has_engine():
        if os.environ.get("CI") == "true":
            pytest.fail("no Docker engine answers")
        pytest.skip("no Docker engine answers")
    return str(request.param)


def test_up_click_promote_discard(make_shop: Callable[..., Shop], runtime: str) -> None:
    """The whole of it, with every promise looked at from outside."""
    shop = make_shop(orders=2_000, runtime=runtime)
    facts = "select (select count(*) from customers), (select count(*) from orders), (select sum(total) from orders)"
    before = shop.main(facts)
    development = shop.uri("development")

    # A rename is asked, not guessed; the printed command answers it.
    waiting = shop.json("up", "pr-1", expect=3)
    assert waiting["state"] == "waiting"
    assert [question["id"] for question in waiting["plan"]["questions"]] == [RENAME]
    printed = shop.preview("up", "pr-1", expect=3).stderr
    assert f"preview answer pr-1 {RENAME}=name" in printed

    # The URL alone is on standard output, and answers with the new schema's page from the branch's data.
    done = shop.preview("answer", "pr-1", f"{RENAME}=name")
    url = done.stdout.strip()
    assert url.startswith("http://127.0.0.1:")
    page = httpx.get(url, trust_env=False)
    assert page.status_code == 200
    assert "pr-1" in page.text
    assert "shipments" in page.text.lower()
    name = shop.main("select name from customers where id = 1")[0][0]
    assert name in html.unescape(httpx.get(f"{url}/customers/1", trust_env=False).text)

    # Production still has the old schema and the same rows.
    assert {"name", "fax"} <= shop.columns(shop.uri(), "customers")
    assert shop.main(facts) == before

    # What show says: plan with traces, report, and what is really there.
    shown = shop.json("show", "pr-1")
    assert shown["state"] == "ready"
    assert shown["seen"]["app"] == "running"
    assert all(statement["trace"]["milliseconds"] >= 0 for statement in shown["plan"]["statements"])
    assert shown["report"]["verdict"] in ("ok", "attention")
    hazards = {f"{h['code']}:{h['on']}" for s in shown["plan"]["statements"] for h in s["hazards"]}
    assert ALLOW_FAX in hazards

    # The preview's credential is refused by production.
    branch_uri = shop.uri(shown["branch"]["name"])
    assert shop.on(branch_uri, "select 1") == [(1,)]
    main, branch = urlsplit(shop.uri()), urlsplit(branch_uri)
    assert main.password != branch.password
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(
            host=main.hostname, port=main.port, user=branch.username, password=branch.password, dbname="shop"
        )
    assert branch.password not in str(shown)

    # A destructive change stops the promotion until it is allowed by name.
    refused = shop.preview("promote", "pr-1", expect=4)
    assert f"--allow {ALLOW_FAX}" in refused.stderr
    assert {"name", "fax"} <= shop.columns(shop.uri(), "customers")

    # Promoted: main is exactly the development schema, no row is lost, history tells.
    shop.preview("promote", "pr-1", "--allow", ALLOW_FAX, "--keep")
    assert shop.json("plan")["statements"] == []
    assert shop.main(facts) == before
    assert shop.columns(shop.uri(), "customers") == shop.columns(development, "customers")
    assert shop.main("select full_name from customers where id = 1")[0][0] == name
    events = shop.json("history", "pr-1")
    assert {"requested", "answered", "approved", "step"} <= {event["kind"] for event in events}
    promoted = next(event for event in events if event["state"] == "promoted" and event["kind"] == "step")
    assert promoted["milliseconds"] > 0
    assert "@" in promoted["who"]

    # Discarded: nothing is left.
    shop.preview("discard", "pr-1")
    assert shop.leftovers(shown) == []
    assert [value["name"] for value in shop.json("list") if value["id"] == shown["id"]] == []
    with pytest.raises(httpx.HTTPError):
        httpx.get(url, trust_env=False)


def test_promote_without_keep_leaves_nothing(shop: Shop) -> None:
    ready = shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.preview("promote", "pr-1", "--allow", "deletes_data")

    assert shop.leftovers(ready) == []
    assert shop.json("plan")["statements"] == []
    assert [value["state"] for value in shop.json("list", "--all") if value["id"] == ready["id"]] == [
        "closed"
    ]


def test_up_again_keeps_the_url_and_follows_the_goal(shop: Shop) -> None:
    first = shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
    same = shop.json("up", "pr-1")
    assert (same["url"], same["branch"], same["plan"]) == (first["url"], first["branch"], first["plan"])

    shop.on(shop.uri("development"), "alter table products add column colour text")
    followed = shop.json("up", "pr-1")

    assert followed["plan"]["digest"] != first["plan"]["digest"]
    assert "colour" in shop.columns(shop.uri(followed["branch"]["name"]), "products")
    assert httpx.get(followed["url"], trust_env=False).status_code == 200


def test_a_changed_app_is_launched_again_on_the_same_branch(common_shop: Shop) -> None:
    first = common_shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
    app = common_shop.folder / "v2" / "app.py"
    app.write_text(app.read_text().replace("Shop v2", "Shop v2.1"))

    second = common_shop.json("up", "pr-1")

    assert second["branch"] == first["branch"]
    assert second["image"] != first["image"]
    assert "Shop v2.1" in httpx.get(second["url"], trust_env=False).text


def test_an_app_that_died_is_brought_back(common_shop: Shop) -> None:
    first = common_shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
    there = common_shop.processes(first["url"])
    assert there
    end(there)
    assert common_shop.json("show", "pr-1")["seen"] != {"app": "running"}

    second = common_shop.json("up", "pr-1")

    assert httpx.get(second["url"], trust_env=False).status_code == 200


def test_main_that_moved_is_not_promoted_to(shop: Shop) -> None:
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.main("alter table products add column hotfix text")

    refused = shop.preview("promote", "pr-1", "--allow", "deletes_data", expect=4)

    assert "main has moved" in refused.stderr
    assert "hotfix" in refused.stderr
    assert "fax" in shop.columns(shop.uri(), "customers")
    # Rehearsed again, on main as it is now; the goal has no hotfix, so that is asked for by name too.
    again = shop.json("up", "pr-1")
    assert any("hotfix" in statement["sql"] for statement in again["plan"]["statements"])
    shop.preview("promote", "pr-1", "--allow", "deletes_data")
    assert shop.json("plan")["statements"] == []


def test_a_branch_that_was_changed_by_hand_is_not_promoted(common_shop: Shop) -> None:
    ready = common_shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
    common_shop.on(common_shop.uri(ready["branch"]["name"]), "create table by_hand (id int)")

    refused = common_shop.preview("promote", "pr-1", "--allow", "deletes_data", expect=4)

    assert "was changed after its rehearsal" in refused.stderr
    assert "fax" in common_shop.columns(common_shop.uri(), "customers")


def test_two_previews_live_side_by_side(common_shop: Shop) -> None:
    one = common_shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
    two = common_shop.json("up", "pr-2", "--answer", f"{RENAME}=name")

    assert one["url"] != two["url"]
    common_shop.on(
        common_shop.uri(one["branch"]["name"]), "update customers set full_name = 'Only In One' where id = 1"
    )
    assert "Only In One" in httpx.get(f"{one['url']}/customers/1", trust_env=False).text
    assert "Only In One" not in httpx.get(f"{two['url']}/customers/1", trust_env=False).text
    common_shop.preview("discard", "pr-1")
    assert httpx.get(two["url"], trust_env=False).status_code == 200


def test_a_goal_that_is_a_folder_of_ddl(common_shop: Shop) -> None:
    (common_shop.folder / "wanted").mkdir()
    (common_shop.folder / "wanted" / "01.sql").write_text(
        (common_shop.folder / "v2" / "schema.sql").read_text()
    )
    common_shop.settings(lambda text: text.replace('branch = "development"', 'directory = "wanted"'))

    ready = common_shop.json("up", "pr-1", "--answer", f"{RENAME}=name")

    assert ready["state"] == "ready"
    databases = common_shop.on(
        common_shop.uri(ready["branch"]["name"]),
        "select datname from pg_database where datname like 'preview%'",
    )
    assert databases == []


def test_logs_psql_open_and_list(common_shop: Shop) -> None:
    ready = common_shop.json("up", "pr-1", "--answer", f"{RENAME}=name")

    assert (
        common_shop.preview("psql", "pr-1", "-c", "select count(*) from shipments").stdout.split()[2] == "0"
    )
    assert "fax" in common_shop.preview("psql", "--main", "-c", r"\d customers").stdout
    assert common_shop.preview("open", "pr-1", BROWSER="true").stdout.strip() == ready["url"]
    listed = common_shop.preview("list").stdout
    assert "pr-1" in listed
    assert ready["url"] in listed
    httpx.get(f"{ready['url']}/orders", trust_env=False)
    assert len(common_shop.log("/orders", "pr-1", "--tail", "5").splitlines()) <= 5


def test_a_reader_in_the_way_is_waited_for(shop: Shop) -> None:
    """Promotion gives way to a long transaction again and again, and goes on when it ends."""
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    waits = (
        "select count(*) from pg_stat_activity "
        "where application_name like 'preview: promote%' and wait_event_type = 'Lock'"
    )
    with psycopg.connect(shop.uri()) as reader:
        reader.execute("select count(*) from customers")
        running = subprocess.Popen(
            shop.command("promote", "pr-1", "--allow", "deletes_data"),
            cwd=shop.folder,
            env=shop.env(),
            stderr=subprocess.PIPE,
            text=True,
        )
        with psycopg.connect(shop.uri(), autocommit=True) as watching:
            while watching.execute(waits).fetchone() != (1,):
                assert running.poll() is None, running.communicate()
        reader.rollback()
    _, said = running.communicate(timeout=120)

    assert running.returncode == 0, said
    assert shop.json("plan")["statements"] == []


def test_a_reader_that_never_ends_is_named_and_its_table_is_untouched(shop: Shop) -> None:
    shop.settings(lambda text: text + "[promote]\nlock_attempts = 2\n")
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    with psycopg.connect(shop.uri(), application_name="the nightly report") as reader:
        reader.execute("select count(*) from customers")
        refused = shop.preview("promote", "pr-1", "--allow", "deletes_data", expect=1)

    assert "the nightly report" in refused.stderr
    assert "fax" in shop.columns(shop.uri(), "customers")
    # What only adds may have been done before, which hurts nobody; the next run does the rest.
    assert shop.json("show", "pr-1")["state"] in {"ready", "failed"}
    shop.preview("promote", "pr-1", "--allow", "deletes_data")
    assert shop.json("plan")["statements"] == []


def test_one_promotion_at_a_time(common_shop: Shop) -> None:
    from orchestrator.database import connect, lock_key, try_advisory_lock

    common_shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    with connect(common_shop.uri(), purpose="promote pr-0") as other:
        assert try_advisory_lock(other, lock_key("promotion", common_shop.project_id, "shop"))
        refused = common_shop.preview("promote", "pr-1", "--allow", "deletes_data", expect=4)

    assert "production is being changed by the session" in refused.stderr
    assert "preview: promote pr-0" in refused.stderr
    assert common_shop.json("show", "pr-1")["state"] == "ready"


def test_rows_that_came_after_the_rehearsal_stop_the_promotion_before_it_begins(shop: Shop) -> None:
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    shop.main(
        "update order_items set quantity = 0 where (order_id, line) = (select min(order_id), 1 from order_items)"
    )

    refused = shop.preview("promote", "pr-1", "--allow", "deletes_data", expect=4)

    assert "order_items_quantity_positive" in refused.stderr
    assert "order_id=" in refused.stderr
    assert {"name", "fax"} <= shop.columns(shop.uri(), "customers")
    assert shop.json("show", "pr-1")["state"] == "ready"
    shop.main("update order_items set quantity = 1 where quantity = 0")
    shop.preview("promote", "pr-1", "--allow", "deletes_data")


def test_a_promotion_that_fails_half_way_leaves_nothing_of_ours_on_main_and_goes_on(shop: Shop) -> None:
    """Something only main has makes a statement fail in the middle: an event trigger, which no plan covers."""
    shop.settings(lambda text: text + '[promote]\ndrops = "real"\n')
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    with superuser(shop) as admin:
        admin.execute(
            "create function no_drops() returns event_trigger language plpgsql as "
            "$$ begin if exists (select from pg_event_trigger_dropped_objects() where object_type = 'table column') "
            "then raise 'not today'; end if; end $$"
        )
        admin.execute("create event trigger no_drops on sql_drop execute function no_drops()")
        admin.execute("alter function no_drops() owner to cloud_admin")
    failed = shop.preview("promote", "pr-1", "--allow", "deletes_data", "--no-rebase", expect=None)

    if failed.returncode == 4:
        # The comparison itself sees the foreign trigger: refused before anything ran.
        assert "no_drops" in failed.stderr
        assert {"name", "fax"} <= shop.columns(shop.uri(), "customers")
    else:
        assert "half-way" in shop.preview("discard", "pr-1", expect=4).stderr
    left = "select count(*) from pg_constraint where conname like 'preview_tmp%'"
    assert shop.main(left) == [(0,)]
    with superuser(shop) as admin:
        admin.execute("drop event trigger no_drops")
        admin.execute("drop function no_drops()")
    shop.preview("promote", "pr-1", "--allow", "deletes_data")
    assert shop.json("plan")["statements"] == []


def test_a_branch_that_is_gone_is_said_and_made_again(common_shop: Shop) -> None:
    first = common_shop.json("up", "pr-1", "--answer", f"{RENAME}=name")
    common_shop.neon.delete_branch(common_shop.project_id, first["branch"]["id"])

    refused = common_shop.preview("promote", "pr-1", "--allow", "deletes_data", expect=4)
    assert "is gone" in refused.stderr
    assert common_shop.json("show", "pr-1")["state"] == "ready"

    second = common_shop.json("up", "pr-1")
    assert second["branch"]["id"] != first["branch"]["id"]
    assert httpx.get(second["url"], trust_env=False).status_code == 200


@contextlib.contextmanager
def superuser(shop: Shop) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The embedded server's own superuser on main, through its unix socket."""
    port = urlsplit(shop.uri()).port
    run = next(path.parent for path in shop.home.rglob(f".s.PGSQL.{port}"))
    with psycopg.connect(
        host=str(run), port=port, user="cloud_admin", dbname="shop", autocommit=True
    ) as connection:
        yield connection
