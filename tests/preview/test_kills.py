"""A starter that is killed -9 at any point: the next start ends with one healthy candidate, a stop with nothing."""

import subprocess
import sys
import textwrap

import pytest

from preview.supervise import birth

DOCKER = """
import os, signal, requests
from preview import CandidateSpec, Image
from preview.docker import DockerRuntime

runtime = DockerRuntime(network={network!r})
runtime.available()  # connecting is not what is tested
left = {point}
send = requests.Session.send
def counted(self, *args, **kwargs):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return send(self, *args, **kwargs)
requests.Session.send = counted
runtime.start(CandidateSpec(name={name!r}, port=8000, image=Image(reference="x", id={image!r}), command={command!r},
    environment={environment!r}))
"""

PROCESS = """
import os, signal
from pathlib import Path
from preview import CandidateSpec, supervise
from preview.process import ProcessRuntime

def killed_around(owner, name, point):
    original = getattr(owner, name)
    def around(*args, **kwargs):
        if point == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, around)
killed_around({owner}, {function!r}, {point!r})
ProcessRuntime(home=Path({home!r})).start(CandidateSpec(name={name!r}, port=8000, command={command!r},
    working_directory=Path({folder!r}), environment={environment!r}))
"""


def run_until_killed(script: str) -> bool:
    """Run it; whether it was killed (and did not come to its end or fail by itself)."""
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode in (0, -9), ended.stderr
    return ended.returncode == -9


@pytest.mark.docker
def test_before_every_call_to_the_engine(docker_bench, engine):
    bench, spec = docker_bench, docker_bench.serving
    killed, point = True, 0
    while killed:
        killed = run_until_killed(
            DOCKER.format(
                network=bench.runtime.network,
                point=point,
                name=spec.name,
                image=spec.image.id,
                command=spec.command,
                environment=dict(spec.environment),
            )
        )
        point += 1
        if point % 2:
            # Every other time only a discard follows.
            assert bench.runtime.start(spec).state == "running"
            assert [c.name for c in bench.runtime.list({}) if c.name == spec.name] == [spec.name]
        bench.runtime.stop(spec.name)
        assert bench.runtime.observe(spec.name) is None
        assert engine.networks.list(names=[bench.runtime.network]) == []
    assert point > 8  # it was really killed on the way, several times


@pytest.mark.parametrize("then", ["start", "stop"])
@pytest.mark.parametrize(
    ("owner", "function", "point"),
    [
        ("supervise", "write_atomically", "before"),
        ("supervise", "write_atomically", "after"),
        ("ProcessRuntime", "_launch", "after"),
        ("ProcessRuntime", "_wait", "before"),
    ],
)
def test_a_process_starter(process_bench, tmp_path, owner, function, point, then):
    bench, spec = process_bench, process_bench.serving
    assert run_until_killed(
        PROCESS.format(
            owner=owner,
            function=function,
            point=point,
            home=str(tmp_path / "home"),
            name=spec.name,
            command=spec.command,
            folder=str(spec.working_directory),
            environment=dict(spec.environment),
        )
    )
    before = bench.runtime.observe(spec.name)
    if then == "start":
        candidate = bench.runtime.start(spec)
        assert candidate.state == "running"
        if function == "_wait":  # it was complete: the same process is kept
            assert candidate.id == before.id
    bench.runtime.stop(spec.name)
    assert not (bench.runtime.folder / spec.name).exists()
    if before is not None and before.id != "0":
        assert birth(int(before.id)) is None
