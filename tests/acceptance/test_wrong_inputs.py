"""Wrong inputs end in one clear line and the right exit code, and lose nothing."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from preview.docker import DockerRuntime
from tests.acceptance.shop import RENAME, Shop

UP = ("up", "pr-1", "--answer", f"{RENAME}=name")


def one_clear_line(done: "subprocess.CompletedProcess[str]", *said: str) -> None:
    """The error is one line that says all of `said`; no traceback, no secret."""
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, done.stderr
    for words in said:
        assert words in errors[0], done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.fixture
def elsewhere(common_shop: Shop, tmp_path: Path) -> Shop:
    """The same home, but a folder without a preview.toml."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Shop(home=common_shop.home, folder=folder, name=common_shop.name, neon=common_shop.neon)


def test_no_settings(elsewhere: Shop) -> None:
    for words in (("up", "pr-1"), ("list",), ("promote", "pr-1"), ("plan",)):
        one_clear_line(elsewhere.preview(*words, expect=2), "there is no preview.toml")


def test_unknown_preview(common_shop: Shop) -> None:
    for verb in ("show", "logs", "psql", "open", "promote", "discard", "history"):
        one_clear_line(common_shop.preview(verb, "pr-9", expect=2), "'pr-9'")
    one_clear_line(common_shop.preview("answer", "pr-9", "a=b", expect=2), "'pr-9'")


@pytest.mark.parametrize(
    "name", ["../x", "a'b", 'a"b', "x" * 300, "grüße", "-x", "UPPER", "a b", "a;rm", "", "$(id)"]
)
def test_bad_names(common_shop: Shop, name: str) -> None:
    done = common_shop.preview("up", "--", name, expect=2)

    one_clear_line(done, "cannot be a preview's name")


def test_wrong_flags_are_usage(common_shop: Shop) -> None:
    assert common_shop.preview("up", expect=2).stderr
    assert "No such option" in common_shop.preview("up", "pr-1", "--nonsense", expect=2).stderr
    one_clear_line(
        common_shop.preview("up", "pr-1", "--answer", "nonsense", expect=2), "'nonsense' is not an answer"
    )
    one_clear_line(common_shop.preview("plan", "--from", "postgresql://x", expect=2), "both --from and --to")
    one_clear_line(common_shop.preview("psql", expect=2), "which database")


def test_an_answer_that_is_no_choice(common_shop: Shop) -> None:
    one_clear_line(
        common_shop.preview("up", "pr-1", "--answer", f"{RENAME}=telephone", expect=2), "telephone", RENAME
    )

    assert common_shop.preview(*UP).stdout.startswith("http://")


def test_a_name_of_another_project(make_shop: Callable[..., Shop]) -> None:
    first, second = make_shop(orders=10), make_shop(orders=10)
    first.preview(*UP)

    one_clear_line(second.preview(*UP, expect=2), "'pr-1' is taken")


def test_init_does_not_overwrite(common_shop: Shop) -> None:
    before = (common_shop.folder / "preview.toml").read_text()
    done = common_shop.preview("init", "--neon", "embedded", "--project", "x", "--database", "y", expect=2)

    one_clear_line(done, "is there already")
    assert (common_shop.folder / "preview.toml").read_text() == before


def test_init_without_a_terminal_names_the_flag(elsewhere: Shop) -> None:
    one_clear_line(elsewhere.preview("init", "--neon", "embedded", expect=2), "--project is missing")


def test_goal_unreachable_or_wrong_password(common_shop: Shop) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    common_shop.settings(lambda text: text.replace('branch = "development"', 'url_env = "DEV_URL"'))

    one_clear_line(common_shop.preview(*UP, expect=2), "$DEV_URL is not set")
    unreachable = f"postgresql://dev:hunter2secret@127.0.0.1:{port}/dev"
    done = common_shop.preview(*UP, expect=1, DEV_URL=unreachable)
    one_clear_line(done, f"cannot connect to postgresql://dev@127.0.0.1:{port}/dev")
    wrong = (
        common_shop.uri("development").replace(":", "://", 1)
        if False
        else _with_password(common_shop.uri("development"))
    )
    refused = common_shop.preview(*UP, expect=1, DEV_URL=wrong)
    one_clear_line(refused, "cannot connect to", "password authentication failed")
    assert "hunter2secret" not in done.stderr + done.stdout + refused.stderr + refused.stdout
    assert "hunter2secret" not in str(common_shop.json("show", "pr-1"))
    # Mended, it goes on.
    assert common_shop.preview(*UP, DEV_URL=common_shop.uri("development")).stdout.startswith("http://")


def _with_password(uri: str) -> str:
    before, _, after = uri.partition("@")
    return f"{before.rsplit(':', 1)[0]}:hunter2secret@{after}"


def test_plan_between_urls_that_do_not_answer(common_shop: Shop) -> None:
    url = "postgresql://me:hunter2secret@127.0.0.1:1/x"
    done = common_shop.preview("plan", "--from", url, "--to", url, expect=1)

    one_clear_line(done, "cannot connect to postgresql://me@127.0.0.1:1/x")
    assert "hunter2secret" not in done.stderr
    one_clear_line(
        common_shop.preview("plan", "--from", "env:NOPE", "--to", url, expect=2), "$NOPE is not set"
    )


def test_goal_branch_missing(common_shop: Shop) -> None:
    common_shop.settings(lambda text: text.replace('branch = "development"', 'branch = "feature/x"'))

    one_clear_line(common_shop.preview(*UP, expect=2), "no branch 'feature/x'")


def test_project_or_database_missing(common_shop: Shop) -> None:
    good = (common_shop.folder / "preview.toml").read_text()
    common_shop.settings(lambda text: text.replace(f'name = "{common_shop.name}"', 'name = "nowhere"'))
    one_clear_line(common_shop.preview(*UP, expect=2), "no Neon project named 'nowhere'")
    common_shop.settings(lambda _: good.replace('database = "shop"', 'database = "nowhere"'))
    one_clear_line(common_shop.preview("plan", expect=2), "no database 'nowhere'")


def test_neon_without_a_key(common_shop: Shop) -> None:
    common_shop.settings(lambda text: text.replace('neon = "embedded"', 'neon = "neon"'))

    one_clear_line(common_shop.preview(*UP, expect=2), "$NEON_API_KEY is not set")


def test_neon_that_is_away_or_refuses_the_key(common_shop: Shop) -> None:
    common_shop.settings(lambda text: text.replace('neon = "embedded"', 'neon = "http://127.0.0.1:9/api/v2"'))
    done = common_shop.preview(*UP, expect=1, NEON_API_KEY="napi_hunter2secret")
    one_clear_line(done, "127.0.0.1:9")
    assert "hunter2secret" not in done.stderr

    url = common_shop.neon.base_url if hasattr(common_shop.neon, "base_url") else None
    if url:
        common_shop.settings(lambda text: text.replace("http://127.0.0.1:9/api/v2", str(url)))
        refused = common_shop.preview(*UP, expect=1, NEON_API_KEY="napi_hunter2secret")
        one_clear_line(refused, "401")
        assert "hunter2secret" not in refused.stderr


def test_an_app_that_never_gets_healthy_shows_status_and_log(common_shop: Shop) -> None:
    app = common_shop.folder / "v2" / "app.py"
    good = app.read_text()
    app.write_text(
        "import http.server, os, sys\n"
        "class A(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        print('the kitchen is on fire', flush=True)\n"
        "        self.send_response(503)\n"
        "        self.end_headers()\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), A).serve_forever()\n"
    )
    settings = (common_shop.folder / "preview.toml").read_text()
    for seconds in (3, 30):  # an app that has not even begun to answer is given more time
        more = f"port = 8000\nhealth_timeout_seconds = {seconds}"
        common_shop.settings(lambda _, more=more: settings.replace("port = 8000", more))
        done = common_shop.preview(*UP, expect=1)
        if "503" in done.stderr:
            break

    one_clear_line(done, "503")
    assert "the kitchen is on fire" in done.stderr
    common_shop.settings(lambda _: settings)
    app.write_text(good)
    assert common_shop.preview(*UP).stdout.startswith("http://")


def test_an_app_that_ends_at_once_is_not_waited_for(common_shop: Shop) -> None:
    (common_shop.folder / "v2" / "app.py").write_text("import sys\nsys.exit('no configuration')\n")
    done = common_shop.preview(*UP, expect=1)

    one_clear_line(done, "exit")
    assert "no configuration" in done.stderr
    failed = common_shop.json("show", "pr-1")
    assert failed["state"] == "failed"
    common_shop.preview("discard", "pr-1")
    assert common_shop.leftovers(failed) == []


def test_port_in_use(common_shop: Shop) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        common_shop.settings(lambda text: text.replace("[runtime]", f"[runtime]\nhost_port = {port}"))

        one_clear_line(common_shop.preview(*UP, expect=1), str(port))
    assert common_shop.preview(*UP).stdout.strip() == f"http://127.0.0.1:{port}"


def test_the_process_runtime_needs_a_command(common_shop: Shop) -> None:
    common_shop.settings(lambda text: text.replace('command = ["python3", "app.py"]\n', ""))

    one_clear_line(common_shop.preview(*UP, expect=2), "app.command")


def test_no_docker_engine(common_shop: Shop) -> None:
    common_shop.settings(lambda text: text.replace('kind = "process"', 'kind = "docker"'))
    done = common_shop.preview(*UP, expect=1, DOCKER_HOST="unix:///nonexistent/docker.sock")

    one_clear_line(done, "docker runtime cannot be used")


@pytest.fixture
def docker_shop(make_shop: Callable[..., Shop]) -> Shop:
    if DockerRuntime().available() is not None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Docker engine answers")
        pytest.skip("no Docker engine answers")
    return make_shop(orders=10, runtime="docker")


@pytest.mark.docker
def test_a_dockerfile_that_does_not_build_shows_the_failing_step(docker_shop: Shop) -> None:
    file = docker_shop.folder / "v2" / "Dockerfile"
    good = file.read_text()
    file.write_text(good + "\nRUN echo the oven is cold && exit 3\n")
    done = docker_shop.preview(*UP, expect=1)

    one_clear_line(done, "build")
    assert "the oven is cold" in done.stderr
    file.write_text(good)
    assert docker_shop.preview(*UP).stdout.startswith("http://")


@pytest.mark.docker
def test_a_base_image_that_is_nowhere(docker_shop: Shop) -> None:
    docker_shop.settings(lambda text: text.replace("preview-base:python3", "nowhere.invalid/none:1"))

    one_clear_line(docker_shop.preview(*UP, expect=1), "nowhere.invalid/none:1")


@pytest.mark.docker
def test_the_engine_goes_away_in_the_middle(docker_shop: Shop) -> None:
    """Discarding without the engine says so and keeps the row; with the engine back it finishes."""
    ready = docker_shop.json(*UP)
    done = docker_shop.preview("discard", "pr-1", expect=1, DOCKER_HOST="unix:///nonexistent/docker.sock")

    one_clear_line(done, "looking at what the docker runtime has")
    assert docker_shop.json("show", "pr-1")["state"] == "failed"
    docker_shop.preview("discard", "pr-1")
    assert docker_shop.leftovers(ready) == []


def test_a_migration_that_fails_on_the_data_names_the_rows(shop: Shop) -> None:
    shop.main(
        "update order_items set quantity = -1 where (order_id, line) in "
        "(select order_id, line from order_items order by 1, 2 limit 2)"
    )
    done = shop.preview(*UP, expect=1)

    one_clear_line(done, "order_items_quantity_positive")
    assert "2 rows" in done.stderr
    assert "order_id=" in done.stderr
    failed = shop.json("show", "pr-1")
    assert failed["error"]["state"] == "migrating"
    # Mended in production, it goes on, on a fresh branch.
    shop.main("update order_items set quantity = 1 where quantity < 0")
    assert shop.preview(*UP).stdout.startswith("http://")


def test_an_object_that_is_not_covered_is_refused_by_name(shop: Shop) -> None:
    # No statement makes an INVALID index.
    shop.on(shop.uri("development"), "create table twice (a int); insert into twice values (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        shop.on(shop.uri("development"), "create unique index concurrently half_built on twice (a)")
    done = shop.preview(*UP, expect=4)

    one_clear_line(done, "index public.half_built", "INVALID")


def test_ctrl_c_leaves_everything_to_go_on_with(common_shop: Shop) -> None:
    (common_shop.folder / "v2" / "app.py").rename(common_shop.folder / "v2" / "later.py")
    (common_shop.folder / "v2" / "app.py").write_text("import time\ntime.sleep(600)\n")
    running = subprocess.Popen(
        common_shop.command(*UP),
        cwd=common_shop.folder,
        env=common_shop.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    seen = ""
    while "migrate" not in seen:
        line = running.stderr.readline()
        assert line, seen
        seen += line
    running.send_signal(signal.SIGINT)
    _, rest = running.communicate(timeout=120)

    assert running.returncode == 130, seen + rest
    assert "run the same command again" in rest
    shutil.move(common_shop.folder / "v2" / "later.py", common_shop.folder / "v2" / "app.py")
    assert common_shop.preview(*UP).stdout.startswith("http://")


@pytest.mark.docker
def test_an_engine_that_is_gone_for_good_does_not_keep_a_preview_for_ever(docker_shop: Shop) -> None:
    """By force the row closes, and says what nobody saw go; a sweep removes it when the engine is back."""
    ready = docker_shop.json(*UP)
    gone = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    assert "--force" in docker_shop.preview("discard", "pr-1", expect=1, **gone).stderr

    docker_shop.preview("discard", "pr-1", "--force", **gone)

    closed = docker_shop.json("history", "pr-1")[-1]
    assert closed["state"] == "closed"
    assert f"preview-pr-1-{ready['id']} may still be there" in closed["note"]
    # The engine is there again: what nobody saw go is shown as left over, and goes.
    docker_shop.preview("sweep", "--yes")
    assert docker_shop.leftovers(ready) == []
