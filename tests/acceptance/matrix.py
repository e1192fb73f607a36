"""Kill matrices: each fault point of verbs, gone on with and given up, by players with stands of their own."""

import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from neon_client import NeonClient
from neon_embedded import ensure_running, stop
from tests.acceptance.scenes import KILLED, SCENES, Stand
from tests.acceptance.small import make_small

#: Homes of their own, since a sweep looks through a whole one. They wait for servers half of the time.
PLAYERS = 2
#: What all players together may take.
ENOUGH_BYTES = 4_000_000_000
C = TypeVar("C")
_KEEPS_ITS_START = {name for name, scene in SCENES.items() if scene.starts == scene.ends}


@dataclass(frozen=True)
class Cell:
    """One kill: of which scene's verb, where, and whether something else is done instead of going on.

    Or one `error`: what was done there is not done, or is done and its answer lost.
    """

    scene: str
    point: str
    instead: bool
    how: str = "kill"


@dataclass(frozen=True)
class Played:
    """How a cell ended: `fault` is empty when all was right."""

    cell: Cell
    reached: bool
    fault: str


def open_stand(home: Path, folder: Path, runtime: str) -> tuple[Stand, NeonClient]:
    """A stand in a home of its own."""
    folder.mkdir(parents=True)
    running = ensure_running(home)
    neon = NeonClient(api_key=running.api_key, base_url=running.base_url)
    return Stand(make_small(home, neon, folder / "shop", "stand", runtime), folder), neon


def play(stand: Stand, pending: Sequence[Cell], say: "Path") -> None:
    """Play cells, in the order that needs the least preparation; each outcome becomes a line of `say`."""
    # What leaves the stand as it needs it comes first: a whole chain of those costs one preparation.
    left = sorted(pending, key=lambda cell: cell.scene not in _KEEPS_ITS_START or cell.instead)
    while left:
        cell = next((each for each in left if SCENES[each.scene].starts == stand.at), None)
        if cell is None and stand.at == "ready":
            cell = next((each for each in left if SCENES[each.scene].starts in {"over", "promoted"}), None)
        cell = cell or min(left, key=lambda each: _STARTS.index(SCENES[each.scene].starts))
        left.remove(cell)
        outcome = _play(stand, cell)
        with say.open("a") as file:
            file.write(f"{json.dumps(asdict(outcome))}\n")


_STARTS = ("nothing", "waiting", "ready", "over", "promoted")


def _play(stand: Stand, cell: Cell) -> Played:
    reached = False
    try:
        code = stand.broken(cell.scene, f"{cell.how} {cell.point}")
        # Threads may take another turn than when the points were recorded; then the verb simply ended.
        reached = code != 0
        fine = {KILLED, 0} if cell.how == "kill" else {0, 11, 14}
        assert code in fine, f"{code}: {stand.log.read_text()}"
        stand.goes_on(cell.scene, instead=cell.instead)
    except AssertionError as error:
        stand.at = ""
        return Played(cell, reached, str(error) or "an assertion failed")
    return Played(cell, reached, "")


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory, where there is enough of it: a killed process leaves the same files there as on a disk."""
    memory = Path("/dev/shm")
    fits = memory.is_dir() and shutil.disk_usage(memory).free > ENOUGH_BYTES
    folder = Path(tempfile.mkdtemp(prefix="preview-matrix-", dir=memory if fits else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def recorded(base: Path, runtime: str, scenes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The points of scenes, on a stand for that."""
    stand, neon = open_stand(base / "recorder", base / "recorder-folder", runtime)
    try:
        stand.bring("ready")  # the store's tables and the store itself are made once, not in each cell
        stand.bring("nothing")
        return {scene: stand.points(scene) for scene in scenes}
    finally:
        _clear(base / "recorder", stand, neon)
        shutil.rmtree(base / "recorder", ignore_errors=True)  # what lies there is memory


def matrix(base: Path, runtime: str, scenes: Sequence[str], *, players: int = PLAYERS) -> None:
    """Record the points of scenes, kill at each of them, print and judge."""
    began = time.monotonic()
    points = recorded(base, runtime, scenes)
    everything = [
        Cell(scene, point, instead)
        for scene in scenes
        for point in points[scene]
        for instead in (False, True)
    ]
    played = dealt(base, everything, partial(_play_all, runtime), players=players)
    _tell(points, played, time.monotonic() - began)
    _judge(played, everything)
    assert sum(not each["reached"] for each in played) <= len(played) // 10


def broken_everywhere(base: Path, runtime: str, scenes: Sequence[str]) -> None:
    """At each effect of scenes on Neon and the runtime: it fails, or its answer is lost; print and judge."""
    began = time.monotonic()
    points = recorded(base, runtime, scenes)
    everything = [
        Cell(scene, point, instead=False, how="error")
        for scene in scenes
        for point in points[scene]
        if not point.startswith("sql")
    ]
    played = dealt(base, everything, partial(_play_all, runtime))
    for scene in scenes:
        outcomes = Counter(
            "wrong" if each["fault"] else "failed, then went on" if each["reached"] else "mended"
            for each in played
            if each["cell"]["scene"] == scene
        )
        print(f"{scene}: {dict(outcomes)}")
    print(f"{len(played)} effects broken, {time.monotonic() - began:.0f} s")
    _judge(played, everything)


def _judge(played: "list[dict[str, Any]]", everything: Sequence[Cell]) -> None:
    faults = [each for each in played if each["fault"]]
    assert not faults, "\n\n".join(
        f"{each['cell']['scene']} {each['cell']['how']} at {each['cell']['point']}, then "
        f"{'given up' if each['cell']['instead'] else 'gone on with'}: {each['fault']}"
        for each in faults
    )
    assert len(played) == len(everything)


def _tell(points: dict[str, tuple[str, ...]], played: "list[dict[str, object]]", seconds: float) -> None:
    kills: Counter[str] = Counter()
    for each in played:
        kills[each["cell"]["scene"]] += bool(each["reached"])  # type: ignore[index]
    for scene, found in points.items():
        print(f"{scene}: {len(found)} fault points, {kills[scene]} kills")
    missed = sum(not each["reached"] for each in played)
    wrong = sum(bool(each["fault"]) for each in played)
    total = sum(map(len, points.values()))
    print(
        f"{total} fault points, {sum(kills.values())} kills, {missed} not reached, {wrong} wrong, {seconds:.0f} s"
    )


def _play_all(runtime: str, base: Path, pending: Sequence[Cell], say: Path) -> None:
    stand, neon = open_stand(base / "home", base / "folder", runtime)
    try:
        play(stand, pending, say)
    finally:
        _clear(base / "home", stand, neon)


def dealt(
    base: Path, cells: Sequence[C], work: Callable[[Path, Sequence[C], Path], None], *, players: int = PLAYERS
) -> list[dict[str, Any]]:
    """What came of cells, dealt to forked players.

    Args:
        base: each player gets a folder of its own in it, which is not made yet.
        cells: all of them.
        work: plays some: a folder, the cells, the file to which it adds a line of JSON for each.
        players: how many at once.
    """
    says = [base / f"played-{number}.jsonl" for number in range(players)]
    children = [
        _player(partial(work, base / say.stem, cells[i::players], say), say) for i, say in enumerate(says)
    ]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * players, [say.with_suffix(".log").read_text() for say in says]
    return [json.loads(line) for say in says if say.exists() for line in say.read_text().splitlines()]


def _player(work: Callable[[], None], say: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    with say.with_suffix(".log").open("w") as log:
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
            traceback.print_exc(file=log)
        finally:
            log.flush()
            sys.stdout.flush()
            os._exit(code)
    return 0


def _clear(home: Path, stand: Stand, neon: NeonClient) -> None:
    try:
        stand.clean()
    finally:
        neon.close()
        stop(home)
