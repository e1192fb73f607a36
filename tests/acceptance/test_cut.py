"""The network between us and production is cut in the middle of a statement; afterwards everything is right."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from neon_embedded import ensure_running
from orchestrator.bootstrap import Assembly
from orchestrator.steps import on_main, project
from tests.acceptance.bad_neon import bad_neon
from tests.acceptance.cutting import Wire, wire_to
from tests.acceptance.inside import run
from tests.acceptance.scenes import NAME, SCENES, Stand
from tests.acceptance.shop import Shop

Make = Callable[..., Shop]


@dataclass
class Far:
    """A project whose production is at the other end of a wire."""

    played: Stand
    wire: Wire

    def goes(self, scene: str) -> tuple[int, str]:
        code = run(self.played.shop, SCENES[scene].act, log=self.played.log)
        said = self.played.log.read_text()
        assert "Traceback" not in said, said
        return code, said

    @property
    def main(self) -> set[str]:
        """Production's columns, seen past the wire."""
        return self.played.shop.columns(self.played.shop.uri(), "notes")


@pytest.fixture
def far(
    make_small_shop: Make, shops_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Far]:
    # Nobody is as patient here as with a cold compute: what is cut stays cut until it is mended.
    for room in (project, on_main):
        monkeypatch.setattr(room, "COLD_SECONDS", 2.0)
    running = ensure_running(shops_home)
    shop = make_small_shop()
    main = urlsplit(shop.uri()).port or 0
    with wire_to(main) as wire, bad_neon(running.base_url) as proxy:
        # The API tells of the wire's end in place of production's own address.
        proxy.replace = (f":{main}/", f":{wire.port}/")
        shop.settings(lambda text: text.replace('neon = "embedded"', f'neon = "{proxy.url}"'))
        shop.environment["NEON_API_KEY"] = running.api_key.reveal()
        played = Stand(shop, tmp_path)
        yield Far(played, wire)
        wire.mend()
        played.clean()  # while the address that the diary knows still leads somewhere


BEFORE = {"id", "text"}
AFTER = {*BEFORE, "seen"}
#: What passes on the wire to production while a verb works, and what production must be then.
UP = ("pg_catalog", "set_config", "pg_stat")
PROMOTE = ("advisory", "alter table", "commit", "pg_catalog", "lock_timeout", "preview_internal")


def cut_and_mended(far: Far, scene: str, word: str, *, answered: bool) -> str:
    """Play a scene while the wire is cut, then again; returns what became of it."""
    far.played.bring(SCENES[scene].starts)
    far.played.at = ""
    far.wire.cut_at(word, answered=answered)
    code, said = far.goes(scene)
    cut = far.wire.cuts > 0
    # An error of ours with its next step; never a fault of ours, never a yes to what was not done. A rehearsal asks
    # production for a few things only, and says of them that they were not looked at.
    assert code in ({0, 11, 14} if cut else {0}), (scene, word, answered, code, said)
    assert far.main in ((BEFORE,) if scene == "up" else (AFTER,) if code == 0 else (BEFORE, AFTER))
    far.wire.mend()
    far.played.goes_on(scene)
    return "went on" if cut else "not cut"


def test_a_lost_answer_to_the_statement_on_production_is_no_harm(far: Far) -> None:
    """A sample; `make prove` cuts at every word."""
    assert cut_and_mended(far, "promote", "alter table", answered=True) == "went on"


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_the_wire_to_production_is_cut_anywhere(far: Far) -> None:
    outcomes: Counter[str] = Counter()
    began = time.monotonic()
    for scene, words in (("up", UP), ("promote", PROMOTE)):
        for word in words:
            for answered in (False, True):
                outcome = cut_and_mended(far, scene, word, answered=answered)
                where = "after its answer" if answered else "before"
                print(f"{scene} {word} {where}: {outcome}, {time.monotonic() - began:.0f} s", flush=True)
                outcomes[outcome] += 1
    print(f"{outcomes.total()} cuts: {dict(outcomes)}, {time.monotonic() - began:.0f} s")
    assert outcomes.total() == 2 * len((*UP, *PROMOTE))
    assert not outcomes["not cut"]


@pytest.mark.prove
def test_a_wire_that_stays_cut_is_told_of_in_time_and_nothing_is_half_done(far: Far) -> None:
    def show(rooms: Assembly) -> None:
        assert rooms.store.find(NAME) is not None

    far.played.bring("ready")
    far.played.at = ""
    far.wire.cut_at("alter table", answered=False)
    assert far.goes("promote")[0] == 11
    for _ in range(2):
        code, said = far.goes("promote")
        assert code == 11
        assert "production" in said or "connect" in said, said
        assert far.main == BEFORE
    assert run(far.played.shop, show, log=far.played.log) == 0
    far.wire.mend()
    far.played.goes_on("promote")
