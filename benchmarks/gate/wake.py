"""What waking costs: a plain `docker start` until the app is healthy, and the first request through the gate.

Both start the same stopped container of a real preview of the shop, on its closed network, and end with the same
page's answer; in turn, who is first alternates. Needs a Docker engine, Caddy, and an image to build the shop on.
Run it: ``.venv/bin/python benchmarks/gate/wake.py --base preview-base:python3``.
"""

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from shop import ANSWERS, own_home, prepare, preview

from preview.caddy import find_caddy
from preview.ports import free_ports

NAME = "pr-1"
PAGE = "/healthz"
PATIENCE_SECONDS = 60.0


def docker(*words: str) -> str:
    """What one command of the engine says."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


def get(host: str, port: int, **headers: str) -> int:
    """The status of one GET of the page."""
    with closing(http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)) as connection:
        connection.request("GET", PAGE, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def started(container: str, address: tuple[str, int]) -> None:
    """`docker start`, and asking until it is healthy."""
    docker("start", container)
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            if get(*address) == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.005)
    raise SystemExit(f"{container} was not healthy within {PATIENCE_SECONDS:.0f} s")


def woken(port: int) -> None:
    """The first request to the preview that sleeps."""
    status = get("127.0.0.1", port, Host=f"{NAME}.localhost:{port}")
    if status != 200:
        raise SystemExit(f"the first request through the gate was answered with {status}")


@contextmanager
def gateway(folder: Path) -> Iterator[None]:
    """`preview gateway`, listening."""
    command = [sys.executable, "-m", "orchestrator", "-C", str(folder), "gateway"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        running.stdout.readline()
        yield
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(60)


def milliseconds(act: Callable[[], None]) -> float:
    """How long it took."""
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def measure(folder: Path, port: int, rounds: int) -> dict[str, list[float]]:
    """Each way in every round, from asleep to answered."""
    answers = [word for id_, value in ANSWERS.items() for word in ("--answer", f"{id_}={value}")]
    up = json.loads(preview(folder, "up", NAME, *answers, "--json").stdout)
    container = docker("ps", "--filter", f"label=dev.preview.id={up['id']}", "--format", "{{.Names}}")
    (seen,) = json.loads(docker("inspect", container))
    (network,) = seen["NetworkSettings"]["Networks"].values()
    inside = next(line for line in seen["Config"]["Env"] if line.startswith("PORT="))
    address = (network["IPAddress"], int(inside.removeprefix("PORT=")))
    found: dict[str, list[float]] = {"docker start until healthy": [], "first request through the gate": []}
    plain, asked = found.values()
    with gateway(folder):
        preview(folder, "sleep", NAME)
        woken(port)  # warm
        preview(folder, "sleep", NAME)

        def by_hand() -> None:
            plain.append(milliseconds(lambda: started(container, address)))
            docker("stop", container)

        def by_the_gate() -> None:
            asked.append(milliseconds(lambda: woken(port)))
            preview(folder, "sleep", NAME)

        for number in range(rounds):
            for way in (by_hand, by_the_gate)[:: 1 if number % 2 else -1]:
                way()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--base", default="debian:bookworm-slim", help="what the shop's image begins with")
    given = parser.parse_args()
    find_caddy()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    port = next(free_ports(f"benchmark-wake-{os.getpid()}"))
    with own_home("preview-wake-") as home:
        folder = prepare(home, 500, f"[gateway]\nenabled = true\nport = {port}\n")
        file = folder / "preview.toml"
        file.write_text(
            file.read_text().replace(
                '[runtime]\nkind = "process"\n',
                f'build_args = {{ BASE = "{given.base}" }}\n[runtime]\nkind = "docker"\n',
            )
        )
        try:
            found = measure(folder, port, given.rounds)
        finally:
            preview(folder, "discard", NAME, "--force", accepted=(0, 2))
    print(f"load {os.getloadavg()[0]:.1f}; {given.rounds} rounds, ms")
    for way, seen in found.items():
        print(f"{way:<34} median {statistics.median(seen):6.0f}, {min(seen):.0f} to {max(seen):.0f}")
    plain, asked = (statistics.median(seen) for seen in found.values())
    print(f"ratio of the medians: {asked / plain:.2f}")


if __name__ == "__main__":
    main()
