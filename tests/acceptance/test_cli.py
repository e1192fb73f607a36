"""The command line's promises: JSON everywhere, the name first, psql wherever it leads, one project's own previews."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from neon_embedded import ensure_running
from orchestrator.projects import STORE_PROJECT
from tests.acceptance.shop import RENAME, Shop

UP = ("up", "pr-1", "--answer", f"{RENAME}=name")


def test_json_everywhere(common_shop: Shop) -> None:
    ready = common_shop.json(*UP)

    # No browser where a test runs.
    opened = common_shop.preview("open", "pr-1", "--json", BROWSER="true %s")
    assert json.loads(opened.stdout) == {"name": "pr-1", "url": ready["url"]}
    lines = common_shop.log("listening", "pr-1").splitlines()
    told = common_shop.preview("logs", "pr-1", "--json").stdout.splitlines()
    assert [json.loads(line) for line in told][: len(lines)] == [{"line": line} for line in lines]
    assert {each["status"] for each in common_shop.json("doctor")} <= {"ok", "note"}
    for words, code in ((("promote", "pr-1"), 4), (("answer", "pr-1", "a=b"), 2), (("show", "pr-2"), 2)):
        failed = common_shop.preview(*words, "--json", expect=code)
        error = json.loads(failed.stdout)["error"]
        assert error["exit_code"] == code
        assert f"error: {error['message']}" in failed.stderr
        assert error["hint"]
    assert common_shop.json("discard", "pr-1")["state"] == "closed"


def test_an_up_that_fails_prints_its_preview_or_the_error_not_both(common_shop: Shop) -> None:
    common_shop.settings(lambda text: text.replace('branch = "development"', 'url_env = "DEV_URL"'))
    failed = common_shop.json(*UP, expect=2)

    assert failed["state"] == "failed"
    assert "$DEV_URL is not set" in failed["error"]["message"]
    error = common_shop.json("up", "pr-1", "--answer", "nonsense", expect=2)["error"]
    assert "'nonsense' is not an answer" in error["message"]


def test_init_in_json(common_shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = Shop(home=common_shop.home, folder=folder, name=common_shop.name, neon=common_shop.neon)
    words = ("init", "--neon", "embedded", "--database", "shop", "--goal-branch", "development")

    assert other.json(*words, "--project", common_shop.name) == {
        "file": str(folder / "preview.toml"),
        "neon": "embedded",
        "project": {"id": common_shop.project_id, "name": common_shop.name, "created": False},
        "database": "shop",
    }
    error = other.json(*words, "--project", common_shop.name, expect=2)["error"]
    assert "is there already" in error["message"]


def test_the_diary_is_no_project(common_shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = Shop(home=common_shop.home, folder=folder, name=STORE_PROJECT, neon=common_shop.neon)
    done = other.preview(
        *("init", "--neon", "embedded", "--project", STORE_PROJECT),
        *("--database", "preview", "--goal-branch", "development"),
        expect=2,
    )

    assert "holds the diary" in done.stderr
    assert not (folder / "preview.toml").exists()


def test_psql_reaches_a_database_whose_name_looks_like_a_connection_string(common_shop: Shop) -> None:
    odd = "host=x dbname=y"
    project = common_shop.neon.create_project(name="odd", database_name=odd, role_name="odd_owner").project
    try:
        common_shop.settings(
            lambda text: text.replace(f'name = "{common_shop.name}"', f'id = "{project.id}"').replace(
                'database = "shop"', f'database = "{odd}"'
            )
        )
        said = common_shop.preview("psql", "--main", "-c", "select 'in ' || current_database()")
    finally:
        common_shop.neon.delete_project(project.id)

    assert f"in {odd}" in said.stdout


def test_previews_of_another_project_are_not_shown(common_shop: Shop, make_shop: Callable[..., Shop]) -> None:
    """One diary for both: each verb says whose it is, and beside which preview.toml to run."""
    other = make_shop(orders=10)
    common_shop.preview(*UP)

    for verb in ("show", "logs", "psql", "open", "promote", "discard"):
        done = other.preview(verb, "pr-1", expect=2, BROWSER="true %s")
        assert f"pr-1 is a preview of project embedded/{common_shop.project_id}" in done.stderr, verb
        assert done.stdout == ""
    taken = other.json(*UP, expect=2)
    assert "is taken" in taken["error"]["message"]


def test_the_embedded_server_dies_in_the_middle(common_shop: Shop) -> None:
    """Killed while a command is under way (the app's start waits for us): the hint fits this machine."""
    gate = common_shop.folder / "gate"
    os.mkfifo(gate)
    app = common_shop.folder / "v2" / "app.py"
    good = app.read_text()
    app.write_text(f"open({str(gate)!r}).read()\n{good}")
    running = subprocess.Popen(
        common_shop.command(*UP, "--json"),
        cwd=common_shop.folder,
        env=common_shop.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with gate.open("w"):  # opens when the app reads: now the command waits for the app
        os.kill(ensure_running(common_shop.home).pid, signal.SIGKILL)
    out, err = running.communicate(timeout=120)

    assert running.returncode == 1, out + err
    assert "run the same command again: it starts the embedded server" in err
    assert "network" not in err
    # Also in what the diary keeps of it.
    assert "it starts the embedded server" in json.loads(out)["error"]["hint"]
    app.write_text(good)
    assert common_shop.preview(*UP).stdout.startswith("http://")


def test_psql_ends_with_psqls_exit_code(common_shop: Shop) -> None:
    done = common_shop.preview("psql", "--main", "-c", "select 1/0", expect=1)

    assert "division by zero" in done.stderr


def test_what_libpq_takes_from_the_environment_does_not_bend_our_connections(common_shop: Shop) -> None:
    bent = {"PGSERVICE": "nowhere", "PGHOSTADDR": "192.0.2.1", "PGOPTIONS": "-c nonsense=1"}

    assert common_shop.preview("list", **bent).returncode == 0
    assert "statements" in common_shop.preview("plan", "--json", "--answer", f"{RENAME}=name", **bent).stdout
