"""What the gateway costs: requests direct, through a plain proxy, through the gate.

All ways answer the same small page of the same server and are measured in turn, several rounds of each; what is
printed are medians, and ratios to the first way. Needs `wrk` and Caddy.
Run it: ``.venv/bin/python benchmarks/gate/run.py``.
"""

import argparse
import http.client
import http.server
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from neon_client import NeonClient
from neon_embedded import ensure_running, stop
from orchestrator.database import connect
from orchestrator.lifecycle import Preview, State, Store
from preview.caddy import Caddy, find_caddy
from preview.ports import free_ports

REPOSITORY = Path(__file__).parents[2]
PREVIEWS = 100
FIRST = "pr-0"


def port(what: str) -> int:
    return next(free_ports(f"benchmark-{what}-{os.getpid()}"))


@contextmanager
def page(folder: Path) -> Iterator[int]:
    """A server that is no bottleneck: Caddy itself, answering one small page."""
    own = port("page")
    caddy = Caddy(folder / "page")
    route = {"handle": [{"handler": "static_response", "body": "ok\n"}]}
    caddy.ensure(_listening(own, route))
    try:
        yield own
    finally:
        caddy.remove()


@contextmanager
def plain_proxy(folder: Path, upstream: int) -> Iterator[int]:
    """Caddy with one fixed upstream: what the proxy alone costs."""
    own = port("proxy")
    caddy = Caddy(folder / "proxy")
    route = {"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{upstream}"}]}]}
    caddy.ensure(_listening(own, route))
    try:
        yield own
    finally:
        caddy.remove()


def _listening(own: int, route: dict[str, Any]) -> dict[str, Any]:
    server = {"listen": [f"127.0.0.1:{own}"], "automatic_https": {"disable": True}, "routes": [route]}
    return {"apps": {"http": {"servers": {"only": server}}}}


@contextmanager
def gateway(folder: Path, home: Path, *, private: bool) -> Iterator[tuple[int, str]]:
    """`preview gateway` with a hundred previews in its diary; its port and a token."""
    own = port("gateway")
    folder.mkdir()
    (folder / "preview.toml").write_text(
        '[project]\nname = "benchmark"\ndatabase = "x"\n[goal]\nbranch = "development"\n'
        '[app]\nhealth = "/"\n[runtime]\nkind = "docker"\n'
        f'[gateway]\nenabled = true\nport = {own}\naccess = "{"private" if private else "open"}"\n'
    )
    environment = {**os.environ, "PREVIEW_HOME": str(home)}
    command = [sys.executable, "-m", "orchestrator"]
    made = subprocess.run(
        [*command, "token", "create", "--local", "--role", "viewer", "bench"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    running = subprocess.Popen(
        [*command, "gateway"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        running.stdout.readline()
        yield own, made.stdout.strip()
    finally:
        running.send_signal(2)
        running.wait(60)


def fill(home: Path, upstream: int) -> tuple[str, str]:
    """A hundred ready previews, all of them the same app; the project's key and branch."""
    server = ensure_running(home)
    with NeonClient(api_key=server.api_key, base_url=server.base_url) as neon:
        project = neon.create_project(
            name="preview-store", database_name="preview", role_name="preview_owner"
        ).project
        main = neon.default_branch(project.id)
        own = neon.create_project(name="benchmark", database_name="x", role_name="x_owner").project
        key, branch = f"embedded/{own.id}", neon.default_branch(own.id).id
        uri = neon.connection_uri(
            project.id, branch_id=main.id, database="preview", role="preview_owner"
        ).reveal()
    os.environ["PREVIEW_STORE_URL"] = uri
    with connect(uri, purpose="benchmark") as connection:
        store = Store(connection, who="benchmark")
        for number in range(PREVIEWS):
            facts = {"url": f"http://127.0.0.1:{upstream}", "plan": {"statements": ["x" * 2000] * 20}}
            ready(store, f"pr-{number}", key, facts)
    return key, branch


def ready(store: Store, name: str, key: str, facts: dict[str, Any]) -> Preview:
    """A row that is ready."""
    preview = store.create(name=name, project=key, facts=facts)
    with store.lease(preview.id) as lease:
        for to in (State.MIGRATING, State.LAUNCHING, State.CHECKING, State.READY):
            preview = store.record(lease, to=to, kind="step")
    return preview


def wrk(own: int, seconds: int, connections: int, *headers: str) -> tuple[float, float, float]:
    """Requests a second, median and p99 in milliseconds."""
    words = [word for header in headers for word in ("-H", header)]
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *words),
            f"http://127.0.0.1:{own}/",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in done:
        raise SystemExit(f"answers were not 200:\n{done}")

    def milliseconds(mark: str) -> float:
        value, unit = re.search(rf"{mark}\s+([\d.]+)(us|ms|s)\b", done).groups()  # type: ignore[union-attr]
        return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]

    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1])  # type: ignore[index]
    return rate, milliseconds("50%"), milliseconds("99%")


def throughput(home: Path, folder: Path, *, rounds: int, seconds: int, connections: int) -> None:
    """Prints what passes in a second."""
    with page(folder) as own:
        fill(home, own)
        host = f"Host: {FIRST}.localhost"
        with plain_proxy(folder, own) as proxied:
            ways: dict[str, list[tuple[float, float, float]]] = {}

            def measure(way: str, at: int, *headers: str) -> None:
                ways.setdefault(way, []).append(wrk(at, seconds, connections, *headers))

            for _ in range(rounds):
                measure("direct", own)
                measure("Caddy, one fixed upstream", proxied)
            for private in (False, True):
                with gateway(folder / f"project-{private}", home, private=private) as (at, token):
                    wrk(at, 1, connections, host, f"X-Preview-Token: {token}")  # warm
                    for _ in range(rounds):
                        if private:
                            measure(
                                "gateway, private, a token each time", at, host, f"X-Preview-Token: {token}"
                            )
                            measure("gateway, private, a browser's cookie", at, host, _cookie(at, token))
                        else:
                            measure("gateway, open", at, host)
    print(f"\n{connections} connections, {rounds} rounds of {seconds} s, {PREVIEWS} previews, medians")
    print(f"{'way':<38}{'requests/s':>12}{'ratio':>8}{'p50 ms':>9}{'p99 ms':>9}")
    base = statistics.median(each[0] for each in ways["direct"])
    for way, seen in ways.items():
        rate, middle, late = (statistics.median(each[which] for each in seen) for which in range(3))
        print(f"{way:<38}{rate:>12.0f}{rate / base:>8.2f}{middle:>9.2f}{late:>9.2f}")


def _cookie(own: int, token: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", own, timeout=10)
    headers = {"Host": f"{FIRST}.localhost:{own}", "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/.preview/login", body=f"token={token}&to=/", headers=headers)
    cookie = connection.getresponse().headers["Set-Cookie"].split(";")[0]
    connection.close()
    return f"Cookie: {cookie}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    find_caddy()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    root = Path(tempfile.mkdtemp(prefix="preview-bench-", dir="/var/tmp"))
    root.chmod(0o755)
    try:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        throughput(
            root / "home",
            root,
            rounds=given.rounds,
            seconds=given.seconds,
            connections=given.connections,
        )
        print(f"load {os.getloadavg()[0]:.1f}")
    finally:
        stop(root / "home")
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
