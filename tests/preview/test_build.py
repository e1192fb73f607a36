"""Building images on a real engine, without any registry: BuildKit, the legacy builder, and what goes wrong."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from preview import BuildFailed, BuildSpec, EngineUnreachable, LaunchFailed
from preview.docker import DockerRuntime

pytestmark = pytest.mark.docker


@pytest.fixture
def tag(engine) -> Iterator[str]:
    reference = f"preview-test-build:{uuid.uuid4().hex[:8]}"
    yield reference
    for image in engine.images.list(name=reference):
        engine.images.remove(image.id, force=True)


@pytest.fixture
def context(tmp_path, busybox) -> Path:
    """A folder whose Dockerfile starts from the busybox image and has a step of its own."""
    root = tmp_path / "context"
    root.mkdir()
    (root / "Dockerfile").write_text(
        f"ARG BASE={busybox.reference}\n"
        "FROM ${BASE} AS first\n"
        "ARG WORD=nothing\n"
        "COPY . /files\n"
        'RUN ["/bin/sh", "-c", "echo the word is $WORD"]\n'
        "FROM first AS second\n"
        "ENV STAGE=second\n"
    )
    (root / "app.txt").write_text("app")
    (root / "secret.env").write_text("PASSWORD=1")
    (root / ".dockerignore").write_text("secret.env\n")
    return root


def built(runtime, context, tag, **wishes):
    told: list[str] = []
    # A value that no earlier build had, so that no step comes from the cache and every line is said.
    arguments = {"WORD": uuid.uuid4().hex, **wishes.pop("build_args", {})}
    image = runtime.build(BuildSpec(context=context, tag=tag, build_args=arguments, **wishes), told.append)
    return image, told, arguments["WORD"]


@pytest.fixture(params=["buildkit", "legacy"])
def runtime(request, docker_runtime, relay, monkeypatch) -> DockerRuntime:
    """With BuildKit, and with an engine that has none."""
    if request.param == "buildkit":
        return docker_runtime
    monkeypatch.setenv("DOCKER_HOST", relay(without_buildkit=True).address)
    return DockerRuntime(network=docker_runtime.network)


def test_an_image_is_built_with_its_arguments_labels_and_target(runtime, context, tag, engine):
    image, told, word = built(runtime, context, tag, target="first", labels={"dev.preview.name": "one"})
    seen = engine.images.get(tag)
    assert (image.reference, image.id) == (tag, seen.id)
    assert seen.labels["dev.preview.name"] == "one"
    assert "STAGE=second" not in (seen.attrs["Config"]["Env"] or [])
    assert any(f"the word is {word}" in line for line in told)
    second, _, _ = built(runtime, context, tag)
    assert "STAGE=second" in engine.images.get(second.id).attrs["Config"]["Env"]


def test_dockerignore_is_honoured(runtime, context, tag, engine):
    built(runtime, context, tag)
    output = engine.containers.run(tag, ["/bin/busybox", "ls", "/files"], remove=True).decode().split()
    assert output == ["Dockerfile", "app.txt"]


def test_a_failing_step_is_named_with_its_last_lines(runtime, context, tag, engine):
    (context / "Dockerfile").write_text(
        (context / "Dockerfile").read_text() + 'RUN ["/bin/sh", "-c", "echo no rule to make it; exit 9"]\n'
    )
    with pytest.raises(BuildFailed) as caught:
        built(runtime, context, tag)
    assert "no rule to make it" in caught.value.message  # the step, as the Dockerfile writes it
    assert "9" in caught.value.message
    assert str(context / "Dockerfile") in caught.value.message
    assert caught.value.log_tail[-1] == "no rule to make it"
    assert engine.images.list(name=tag) == []


@pytest.mark.parametrize(
    "step", ['RUN ["/bin/sh", "-c", "echo using $TOKEN; echo $TOKEN; exit 9"]', "COPY nowhere-$TOKEN /"]
)
def test_no_build_argument_is_in_a_failed_builds_error(runtime, context, tag, step):
    (context / "Dockerfile").write_text((context / "Dockerfile").read_text() + f"ARG TOKEN\n{step}\n")
    first, second = "tok-" + uuid.uuid4().hex, "key-" + uuid.uuid4().hex
    with pytest.raises(BuildFailed) as caught:
        built(runtime, context, tag, build_args={"TOKEN": f"{first}\n{second}"})
    said = "\n".join((caught.value.message, caught.value.hint, *caught.value.log_tail))
    assert first not in said
    assert second not in said
    assert "***" in said


def test_a_missing_base_image_is_named_and_not_as_a_dns_error(runtime, context, tag):
    with pytest.raises(BuildFailed) as caught:
        built(runtime, context, tag, build_args={"BASE": "localhost:1/no-such-base:7"})
    assert "localhost:1/no-such-base:7" in caught.value.message
    assert "registry cannot be reached" in caught.value.message
    assert "dial tcp" not in caught.value.message
    assert "docker pull localhost:1/no-such-base:7" in caught.value.hint


def test_nonsense_in_a_dockerfile_is_told(runtime, context, tag):
    (context / "Dockerfile").write_text("FORM scratch\n")
    with pytest.raises(BuildFailed, match="FORM"):
        built(runtime, context, tag)


def test_a_build_we_made_may_be_removed_and_one_in_use_stays(docker_runtime, context, tag, engine):
    image, _, _ = built(docker_runtime, context, tag)
    user = engine.containers.create(image.id, ["/bin/sh"])
    docker_runtime.remove_image(tag)
    user.remove()
    docker_runtime.remove_image(image.id)
    assert engine.images.list(name=tag) == []
    docker_runtime.remove_image(tag)


def test_a_nameless_forerunner_goes_as_soon_as_it_runs_nowhere(docker_runtime, context, tag, engine):
    def left() -> set[str]:
        images = engine.images.list(filters={"label": f"dev.preview.runtime.tag={tag}"}, all=True)
        return {image.id for image in images}

    first, _, _ = built(docker_runtime, context, tag)
    user = engine.containers.create(first.id, ["/bin/sh"])
    second, _, _ = built(docker_runtime, context, tag)
    third, _, _ = built(docker_runtime, context, tag)
    assert left() == {first.id, third.id}
    assert second.id != third.id
    user.remove()
    docker_runtime.remove_image(tag)
    assert left() == set()


def test_a_container_that_somebody_else_starts_from_our_image_is_not_ours(
    docker_runtime, context, tag, engine
):
    """It inherits the image's labels."""
    built(docker_runtime, context, tag, labels={"dev.preview.name": tag})
    name = "preview-test-" + tag.rpartition(":")[2]
    stranger = engine.containers.create(tag, ["/bin/sh"], name=name)
    try:
        assert docker_runtime.list({"dev.preview.name": tag}) == ()
        with pytest.raises(LaunchFailed, match="not ours"):
            docker_runtime.stop(name)
        stranger.reload()
    finally:
        stranger.remove()


def test_the_same_source_is_the_same_image(docker_runtime, context, tag):
    first, _, word = built(docker_runtime, context, tag)
    again, _, _ = built(docker_runtime, context, tag, build_args={"WORD": word})
    assert again.id == first.id


def test_buildkit_mounts_work(docker_runtime, context, tag, busybox):
    (context / "Dockerfile").write_text(
        f'FROM {busybox.reference}\nRUN --mount=type=cache,target=/cache ["/bin/sh", "-c", "echo 1 > /cache/x"]\n'
    )
    built(docker_runtime, context, tag)


def test_a_dockerfile_elsewhere_may_be_used(docker_runtime, context, tag, tmp_path, engine):
    elsewhere = tmp_path / "Dockerfile.elsewhere"
    elsewhere.write_text((context / "Dockerfile").read_text() + "ENV WHERE=elsewhere\n")
    built(docker_runtime, context, tag, dockerfile=str(elsewhere))
    assert "WHERE=elsewhere" in engine.images.get(tag).attrs["Config"]["Env"]


def test_a_syntax_line_without_a_registry_says_what_to_do(docker_runtime, context, tag):
    (context / "Dockerfile").write_text("# syntax=localhost:1/docker/dockerfile:1\nFROM scratch\n")
    with pytest.raises(BuildFailed, match="localhost:1/docker/dockerfile:1") as caught:
        built(docker_runtime, context, tag)
    assert "# syntax=" in caught.value.hint


def test_what_is_not_there_is_named(docker_runtime, context, tag, tmp_path):
    with pytest.raises(BuildFailed, match=r"no Dockerfile .*Dockerfile\.prod"):
        built(docker_runtime, context, tag, dockerfile="Dockerfile.prod")
    with pytest.raises(BuildFailed, match="no folder"):
        built(docker_runtime, tmp_path / "nowhere", tag)


def test_an_engine_that_goes_away_before_a_build_is_told(docker_runtime, context, tag, relay, monkeypatch):
    passage = relay()
    monkeypatch.setenv("DOCKER_HOST", passage.address)
    runtime = DockerRuntime(network=docker_runtime.network)
    assert runtime.available() is None
    passage.close()
    with pytest.raises(EngineUnreachable):
        built(runtime, context, tag)


def test_a_build_reaches_what_the_settings_say(runtime, context, tag):
    """Even a neighbour on this machine: without a network there is only the build's own loopback."""
    text = (
        (context / "Dockerfile")
        .read_text()
        .replace(
            "echo the word is $WORD",
            "echo the word is $WORD; echo ways: $(/bin/busybox wc -l < /proc/net/route)",
        )
    )
    (context / "Dockerfile").write_text(text)
    ways = {}
    for network in ("default", "none"):
        _, told, _ = built(runtime, context, tag, network=network)
        (line,) = {
            line.rpartition("ways: ")[2].strip()
            for line in told
            if "ways: " in line and "busybox" not in line
        }
        ways[network] = int(line)
    assert ways["default"] > ways["none"]
    assert ways["none"] == 1  # the table's heading
