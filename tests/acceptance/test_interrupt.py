"""Ctrl-C while a promotion waits: it stops with 130, nothing half-made stays, the next one goes on."""

import signal
import subprocess

import psycopg
import pytest

from tests.acceptance.shop import RENAME, Shop


@pytest.mark.prove
def test_ctrl_c_while_somebody_is_in_the_way(shop: Shop) -> None:
    shop.preview("up", "pr-1", "--answer", f"{RENAME}=name")
    with psycopg.connect(shop.uri(), application_name="the dump") as dump:
        dump.execute("select count(*) from customers")  # its transaction stays open: the rename waits for it
        running = subprocess.Popen(
            shop.command("promote", "pr-1", "--allow", "deletes_data"), cwd=shop.folder,
            env=shop.env(PYTHONUNBUFFERED="1"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert running.stderr is not None
        said = ""
        for line in running.stderr:
            said += line
            if "in the way" in line:
                break
        assert "the dump" in said, said
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate()
        more = running.stderr.read() if not running.stderr.closed else ""
        assert running.returncode == 130, said + (rest or "") + more
        assert "Traceback" not in said + more
    assert shop.main("select count(*) from pg_index where not indisvalid") == [(0,)]
    waiting = shop.main("select count(*) from pg_locks where not granted")
    assert waiting == [(0,)]
    shop.preview("promote", "pr-1", "--allow", "deletes_data")
    assert shop.columns(shop.uri(), "customers") == shop.columns(shop.uri("development"), "customers")
