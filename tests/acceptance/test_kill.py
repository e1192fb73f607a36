"""kill -9 anywhere: `up` again goes on, `discard` leaves nothing, `promote` again finishes."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable

import httpx
import pytest

from tests.acceptance.shop import RENAME, Shop

UP = ("up", "pr-1", "--answer", f"{RENAME}=name")
PROMOTE = ("promote", "pr-1", "--allow", "deletes_data")


def start(shop: Shop, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        shop.command(*words),
        cwd=shop.folder,
        env=shop.env(PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(running: "subprocess.Popen[str]") -> None:
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()


def kill_after(shop: Shop, words: tuple[str, ...], line: str) -> None:
    """Kill the command when it has written a line that begins with this word."""
    running = start(shop, *words)
    assert running.stderr is not None
    seen = ""
    for text in running.stderr:
        seen += text
        if text.strip().startswith(line):
            break
    else:
        pytest.fail(f"{line!r} never came:\n{seen}")
    kill(running)


def is_whole(shop: Shop) -> None:
    """The preview is ready, answers, and there is one branch of it."""
    ready = shop.json("show", "pr-1")
    assert ready["state"] == "ready"
    assert httpx.get(ready["url"], trust_env=False).status_code == 200
    branches = [each.name for each in shop.neon.branches(shop.project_id) if each.name.startswith("preview/")]
    assert branches == [ready["branch"]["name"]]
    assert all(statement["trace"] for statement in ready["plan"]["statements"])


STEPS = ["pr-1 from", "branch", "migrate", "launch"]


@pytest.mark.parametrize("line", STEPS)
def test_up_again_goes_on(common_shop: Shop, line: str) -> None:
    kill_after(common_shop, UP, line)

    common_shop.preview(*UP)

    is_whole(common_shop)


@pytest.mark.parametrize("line", STEPS)
def test_discard_leaves_nothing(common_shop: Shop, line: str) -> None:
    kill_after(common_shop, UP, line)
    listed = [value for value in common_shop.json("list") if value["name"] == "pr-1"]
    if not listed:
        assert [
            each.name for each in common_shop.neon.branches(common_shop.project_id) if "pr-1" in each.name
        ] == []
        return

    common_shop.preview("discard", "pr-1")

    assert common_shop.leftovers(listed[0]) == []


def test_promote_again_finishes(shop: Shop) -> None:
    facts = "select count(*), sum(total) from orders"
    before = shop.main(facts)
    ready = shop.json(*UP)
    kill_after(shop, PROMOTE, "pr-1 to")

    again = shop.preview(*PROMOTE, expect=None)

    # Killed before the row was closed, it is finished; killed after, there is nothing to promote any more.
    assert again.returncode == 0 or "there is no preview 'pr-1'" in again.stderr
    assert shop.json("plan")["statements"] == []
    assert shop.main(facts) == before
    assert shop.leftovers(ready) == []


def test_two_ups_at_once_make_one_preview(common_shop: Shop) -> None:
    both = [start(common_shop, *UP) for _ in range(2)]
    ends = [(each.communicate()[1], each.returncode) for each in both]

    assert any(code == 0 for _, code in ends), ends
    for text, code in ends:
        assert code == 0 or "is being worked on by" in text or "is taken" in text, text
    common_shop.preview(*UP)
    is_whole(common_shop)


def test_discard_while_up_runs_ends_it(common_shop: Shop) -> None:
    running = start(common_shop, *UP)
    assert running.stderr is not None
    for text in running.stderr:
        if text.strip().startswith("branch"):
            break
    listed = next(value for value in common_shop.json("list") if value["name"] == "pr-1")

    common_shop.preview("discard", "pr-1")

    running.communicate()
    assert common_shop.leftovers(listed) == []
    assert [value for value in common_shop.json("list") if value["id"] == listed["id"]] == []


@pytest.mark.prove
def test_kill_matrix_up(make_shop: Callable[..., Shop]) -> None:
    """60 kills spread over the whole of `up`, half followed by `up`, half by `discard`."""
    shop = make_shop(orders=200)
    began = time.monotonic()
    shop.preview(*UP)
    whole = time.monotonic() - began
    shop.preview("discard", "pr-1")
    chance = random.Random(2)
    outcomes = {"resumed": 0, "discarded": 0, "not begun": 0}
    for number in range(60):
        running = start(shop, *UP)
        try:
            running.wait(timeout=chance.uniform(0, whole))
        except subprocess.TimeoutExpired:
            kill(running)
        else:
            running.communicate()
        listed = [value for value in shop.json("list") if value["name"] == "pr-1"]
        if number % 2:
            shop.preview(*UP)
            is_whole(shop)
            listed = [shop.json("show", "pr-1")]
            outcomes["resumed"] += 1
        elif not listed:
            outcomes["not begun"] += 1
            continue
        else:
            outcomes["discarded"] += 1
        shop.preview("discard", "pr-1")
        assert shop.leftovers(listed[0]) == []
    print(outcomes)


@pytest.mark.prove
def test_kill_matrix_promote(make_shop: Callable[..., Shop]) -> None:
    """15 kills spread over `promote`, each followed by `promote`: main always ends as the branch."""
    chance = random.Random(3)
    whole = 3.0
    for _ in range(15):
        shop = make_shop(orders=200)
        facts = "select count(*), sum(total) from orders"
        before = shop.main(facts)
        ready = shop.json(*UP)
        began = time.monotonic()
        running = start(shop, *PROMOTE)
        try:
            running.wait(timeout=chance.uniform(0, whole))
        except subprocess.TimeoutExpired:
            kill(running)
        else:
            running.communicate()
            whole = time.monotonic() - began
        again = shop.preview(*PROMOTE, expect=None)
        assert again.returncode == 0 or "there is no preview 'pr-1'" in again.stderr
        assert shop.json("plan")["statements"] == []
        assert shop.main(facts) == before
        assert shop.leftovers(ready) == []
