"""Images on a Docker engine: build, take by name, remove our own. Starts no container.

Building goes through BuildKit over the plain API (`POST /build?version=2`, no docker command needed), with the
legacy builder where an engine has no BuildKit. There is no client session, so BuildKit can neither log in to a
registry nor take build secrets; base images are therefore pulled by the engine itself before the build.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker.errors
import docker.utils
from docker.api.build import process_dockerfile

from preview.build_log import BuildLog
from preview.dockerfile import base_images, syntax_image
from preview.engine import engine_errors, explanation
from preview.errors import BuildFailed, ImageNotFound
from preview.excerpt import phrase, tail_of
from preview.source import write_archive
from preview.spec import BuildSpec, Image

OURS = "dev.preview.runtime"
"""The label on every image, container and network that we made; only such ones are ever removed."""

TAG_LABEL = "dev.preview.runtime.tag"
"""Says which tag an image was built for, also after a later build took the tag away from it."""

_DNS_OR_NETWORK = re.compile(
    r"dial tcp|lookup |no such host|i/o timeout|connection refused|network is unreachable|TLS handshake|"
    r"Client\.Timeout|temporary failure in name resolution|proxyconnect",
    re.IGNORECASE,
)


_NO_BUILDKIT = re.compile(
    r"buildkit.*(not|un) ?(supported|available|enabled)|no active session|invalid version", re.IGNORECASE
)


def find_image(client: Any, reference: str, progress: Callable[[str], None] = lambda _line: None) -> Image:
    """Take an image by name: this machine's own, else pulled.

    Raises:
        ImageNotFound: it is neither here nor to be pulled; says which of no registry, no access and no such image.
        EngineUnreachable: the engine stopped answering.
    """
    with engine_errors(f"looking for image {reference}"):
        try:
            return Image(reference=reference, id=str(client.images.get(reference).id))
        except docker.errors.ImageNotFound:
            pass
        except docker.errors.APIError as error:
            raise ImageNotFound(
                f"'{reference}' is no image's name: {explanation(error)}", hint="give it as NAME:TAG"
            ) from error
        if reference.startswith("sha256:"):
            raise ImageNotFound(f"image {reference} is not on this machine", hint="build it again")
        progress(f"pulling {reference}")
        name, tag = docker.utils.parse_repository_tag(reference)
        try:
            return Image(reference=reference, id=str(client.images.pull(name, tag=tag or "latest").id))
        except docker.errors.APIError as error:
            raise ImageNotFound(
                _why_not_pulled(reference, explanation(error)),
                hint=f"docker pull {reference} where its registry is reachable, or name an image this machine has",
            ) from error


def _why_not_pulled(reference: str, why: str) -> str:
    if _DNS_OR_NETWORK.search(why):
        reason = "its registry cannot be reached from this machine"
    elif "denied" in why or "unauthorized" in why or "authentication" in why:
        reason = "its registry gives it to nobody, or not to you (docker login)"
    elif "not found" in why or "manifest unknown" in why:
        reason = "its registry has no such image"
    else:
        reason = f"pulling it failed: {why}"
    return f"image {reference} is not on this machine, and {reason}"


def build_image(client: Any, spec: BuildSpec, progress: Callable[[str], None]) -> Image:
    """Build an image; see Runtime.build.

    Raises:
        BuildFailed: no such folder or Dockerfile, a failing step, a missing base image.
        EngineUnreachable: the engine stopped answering.
    """
    text = _dockerfile_text(spec)
    # Pull failures are kept, not raised: the stage that needs the image may not be part of this build at all.
    missing: dict[str, ImageNotFound] = {}
    syntax, bases = syntax_image(text), base_images(text, spec.build_args)
    for reference in (*((syntax,) if syntax else ()), *bases):
        try:
            find_image(client, reference, progress)
        except ImageNotFound as error:
            missing[reference] = error
    if syntax in missing:
        raise BuildFailed(
            f"the Dockerfile's first line asks for the image {syntax}: {missing[syntax].message}",
            hint="remove the `# syntax=` line (the engine's own builder reads most Dockerfiles), or connect",
        )
    parameters = {
        "t": spec.tag,
        "labels": json.dumps({**spec.labels, OURS: "1", TAG_LABEL: spec.tag}),
        "buildargs": json.dumps(dict(spec.build_args)),
        "rm": "1",
        "forcerm": "1",
        **({"target": spec.target} if spec.target else {}),
        **({"networkmode": spec.network} if spec.network != "default" else {}),
    }
    # A Dockerfile outside of the context travels inside it, under a name that the SDK makes up.
    name, outside = process_dockerfile(str(_dockerfile_path(spec).resolve()), str(spec.context.resolve()))
    with engine_errors(f"building {spec.tag}"), _context_archive(spec, (name, outside)) as archive:
        log = _send(client, {**parameters, "dockerfile": name, "version": "2"}, archive, progress)
        if log.error and _needs_another_builder(log.error):
            progress("BuildKit cannot do this here; using the legacy builder")
            archive.seek(0)
            log = _send(client, {**parameters, "dockerfile": name, "version": "1"}, archive, progress)
    if log.error:
        # A base image's name is asked of a registry in the open, and without it nobody could mend the build.
        hidden = {name: value for name, value in spec.build_args.items() if value not in bases}
        raise _build_failed(spec, log, missing, hidden)
    with engine_errors(f"building {spec.tag}"):
        image = Image(reference=spec.tag, id=log.image_id or str(client.images.get(spec.tag).id))
        _remove_nameless(client, spec.tag)
    return image


def images(client: Any, filters: dict[str, Any]) -> Iterator[Any]:
    """The engine's images that fit. One that goes away while they are looked at is simply not there."""
    for each in client.api.images(filters=filters):
        with suppress(docker.errors.ImageNotFound):
            yield client.images.get(each["Id"])


def _remove_nameless(client: Any, tag: str) -> None:
    """Remove what earlier builds of this tag left: images without a name that run nowhere.

    Otherwise each `up` after a change would leave one on the user's disk, found by nobody any more.
    """
    for image in images(client, {"label": f"{TAG_LABEL}={tag}", "dangling": True}):
        _remove_unless_used(client, str(image.id))


def _remove_unless_used(client: Any, reference: str) -> None:
    try:
        client.images.remove(reference)
    except docker.errors.ImageNotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409:  # 409: a container uses it
            raise


def remove_built_image(client: Any, reference: str) -> None:
    """Remove an image with our label and its nameless forerunners; others, absent ones and ones in use stay."""
    with engine_errors(f"removing image {reference}"):
        with suppress(docker.errors.ImageNotFound):
            if OURS in (client.images.get(reference).labels or {}):
                _remove_unless_used(client, reference)
        _remove_nameless(client, reference)


def image_environment(client: Any, image: Image) -> dict[str, str]:
    """The ENV lines of an image."""
    with engine_errors(f"looking at image {image.reference}"):
        lines = client.images.get(image.id).attrs["Config"].get("Env") or []
    return dict(line.partition("=")[::2] for line in lines)


def keep_image(client: Any, image: Image, reference: str, *, named: bool) -> Image:
    """Give an image a name more; see Runtime.keep_image.

    Raises:
        ImageNotFound: it is not on this machine any more.
    """
    repository, _, tag = reference.rpartition(":")
    with engine_errors(f"keeping image {image.reference}"):
        try:
            client.images.get(image.id).tag(repository, tag=tag)
        except docker.errors.ImageNotFound as error:
            raise ImageNotFound(
                f"image {image.reference} ({image.id[:19]}) is not on this machine any more",
                hint="preview it again: `preview up`",
            ) from error
    return Image(reference=reference, id=image.id) if named else image


def let_go(client: Any, reference: str) -> None:
    """Take a name away; see Runtime.let_go."""
    with engine_errors(f"removing image {reference}"):
        _remove_unless_used(client, reference)


def _dockerfile_path(spec: BuildSpec) -> Path:
    return spec.context / spec.dockerfile


def _dockerfile_text(spec: BuildSpec) -> str:
    if not spec.context.is_dir():
        raise BuildFailed(
            f"there is no folder {spec.context} to build from", hint="see `context` in the settings"
        )
    path = _dockerfile_path(spec)
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BuildFailed(
            f"there is no Dockerfile {path}"
            if isinstance(error, FileNotFoundError)
            else f"cannot read {path}: {error}",
            hint="write one, or name it in the settings; or give a ready image instead",
        ) from error


def _context_archive(spec: BuildSpec, dockerfile: tuple[str, str | None]) -> Any:
    archive = tempfile.TemporaryFile(prefix="preview-context-")  # noqa: SIM115 - the caller's `with` closes it
    try:
        write_archive(spec.context, *dockerfile, archive)
    except BaseException:
        archive.close()
        raise
    archive.seek(0)
    return archive


def _send(
    client: Any, parameters: Mapping[str, str], archive: Any, progress: Callable[[str], None]
) -> BuildLog:
    api = client.api
    headers: dict[str, str] = {"Content-Type": "application/x-tar"}
    api._set_auth_headers(headers)
    log = BuildLog()
    # No read time-out: a build step may be silent for as long as it likes.
    response = api.post(
        api._url("/build"), params=parameters, data=archive, headers=headers, stream=True, timeout=None
    )
    try:
        if not response.ok:
            log.error = str(response.json().get("message", response.status_code)).strip()
            return log
        for entry in api._stream_helper(response, decode=True):
            for line in log.feed(entry):
                progress(line)
        for line in log.end():
            progress(line)
    finally:
        response.close()
    return log


def _needs_another_builder(error: str) -> bool:
    """Whether BuildKit itself is missing, or wants the client session that we do not have."""
    return _NO_BUILDKIT.search(error) is not None


def _build_failed(
    spec: BuildSpec, log: BuildLog, missing: Mapping[str, ImageNotFound], hidden: Mapping[str, str]
) -> BuildFailed:
    error = log.error or ""
    tail = tail_of(log.tail(), hidden)
    for reference, why in missing.items():
        if reference.partition("@")[0].partition(":")[0].rpartition("/")[2] in error:
            return BuildFailed(
                f"{_dockerfile_path(spec)}: base {why.message}",
                hint=f"docker pull {reference} where it is reachable, or start FROM an image this machine has",
                log_tail=tail,
            )
    hint = "its last lines are in the log's tail"
    if "--mount option requires BuildKit" in error or "requires BuildKit" in error:
        hint = "this engine only has the legacy builder: update Docker, or remove RUN --mount"
    elif "secret" in error and "not found" in error:
        hint = "build secrets are not supported: build the image yourself and give it by name"
    step = f" at `{phrase(log.failed_step, hidden)}`" if log.failed_step else ""
    return BuildFailed(
        f"{_dockerfile_path(spec)} does not build{step}: {phrase(error, hidden)}", hint=hint, log_tail=tail
    )
