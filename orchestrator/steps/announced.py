"""Telling somebody else to put an image into production: a command or a webhook. Runs and starts nothing of ours."""

import hashlib
import hmac
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from orchestrator.errors import SettingsError, StepFailed
from orchestrator.sections import ReleaseSection
from orchestrator.steps.border import translating
from orchestrator.steps.launch import passed_on
from preview.spec import TaskSpec
from preview.task import only_one, run_process

_LONGEST_PAUSE = 10.0
_ANSWER_SECONDS = 30.0
#: Under way, too early, too many, or not now: asked again. Any other refusal is one.
_AGAIN = frozenset({202, 408, 409, 425, 429})


class Announced:
    """Tells an act to the command or the webhook of the settings, and waits until it is done.

    Args:
        settings: `[release]`.
        folder: where a command runs.
        place: a folder of ours for what must not run twice at once.
        health_seconds: how long `health_url` may take to answer well.
    """

    def __init__(self, settings: ReleaseSection, folder: Path, place: Path, *, health_seconds: float) -> None:
        self._settings = settings
        self._folder = folder
        self._place = place
        self._health_seconds = health_seconds

    def tell(self, act: Mapping[str, Any], detail: Callable[[str], None]) -> None:
        """Tell it, and return when the new version serves.

        Args:
            act: JSON values; `key` is the same whenever the same act is told again.
            detail: gets a line for what happens, and each line of the command.

        Raises:
            StepFailed: refused, failed, or not done in time; it may be told again with the same key.
        """
        if self._settings.kind == "command":
            self._run(act, detail)
        else:
            self._post(act, detail)
        if self._settings.health_url:
            self._wait_until_healthy(self._settings.health_url, detail)

    def _run(self, act: Mapping[str, Any], detail: Callable[[str], None]) -> None:
        # Its own surroundings are what a deployment works with; only what the settings name is hidden in its lines.
        inherited = {name: value for name, value in os.environ.items() if name != "NEON_API_KEY"}
        spec = TaskSpec(
            name="the release command",
            command=self._settings.argv,
            working_directory=self._folder,
            environment=passed_on("release.env_from", self._settings.env_from),
            timeout_seconds=self._settings.timeout_seconds,
        )
        detail(f"running the release command for {act['image']['reference'] if act['image'] else 'no image'}")
        with translating("the release command"), only_one(self._place / "command") as held:
            run_process(spec, {**inherited, **_variables(act)}, lambda line: detail(f"| {line}"), held=held)

    def _post(self, act: Mapping[str, Any], detail: Callable[[str], None]) -> None:
        body = json.dumps(act, ensure_ascii=True, sort_keys=True).encode()
        url = str(self._settings.url)
        where = httpx.URL(url).copy_with(username=None, password=None, query=None)
        detail(f"telling {where}")
        deadline = time.monotonic() + self._settings.timeout_seconds
        said, attempt = "nothing", 0
        while True:
            attempt += 1
            try:
                answer = httpx.post(
                    url,
                    content=body,
                    headers={
                        "Content-Type": "application/json",
                        "Idempotency-Key": act["key"],
                        "User-Agent": "preview-release",
                        **self._signature(body),
                    },
                    timeout=min(_ANSWER_SECONDS, self._settings.timeout_seconds),
                    follow_redirects=False,
                )
            except httpx.TransportError as error:
                said = type(error).__name__
            else:
                said = f"HTTP {answer.status_code}"
                if answer.is_success and answer.status_code != 202:
                    return
                if answer.status_code not in _AGAIN and answer.status_code < 500:
                    raise StepFailed(
                        f"the release webhook at {where} refused: {said}",
                        hint="see its own log, then do the same again",
                        detail=_first_lines(answer.text),
                    )
            pause = random.uniform(0.5, 1.0) * min(_LONGEST_PAUSE, 0.5 * 2**attempt)  # noqa: S311 - jitter
            if time.monotonic() + pause > deadline:
                raise StepFailed(
                    f"the release webhook at {where} was not done within {self._settings.timeout_seconds:g} s, "
                    f"asked {attempt} times: {said}",
                    hint="see its own log, then do the same again: it is told with the same key",
                )
            detail(f"waits: the webhook says {said}")
            time.sleep(pause)

    def _signature(self, body: bytes) -> dict[str, str]:
        name = self._settings.secret_env
        if name is None:
            return {}
        secret = os.environ.get(name)
        if not secret:
            raise SettingsError(
                f"${name} is not set, which release.secret_env names", hint=f"export {name}=..."
            )
        return {"Preview-Signature": signature(secret, body, int(time.time()))}

    def _wait_until_healthy(self, url: str, detail: Callable[[str], None]) -> None:
        where = httpx.URL(url).copy_with(username=None, password=None, query=None)
        detail(f"waiting until {where} is healthy")
        deadline = time.monotonic() + self._health_seconds
        while True:
            try:
                answer = httpx.get(url, timeout=5.0, follow_redirects=False)
                said = f"HTTP {answer.status_code}"
                if 200 <= answer.status_code < 400:
                    return
            except httpx.TransportError as error:
                said = type(error).__name__
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"{where} was not healthy within {self._health_seconds:g} s of the release: {said}",
                    hint="see the app's own log",
                )
            time.sleep(0.5)


def signature(secret: str, body: bytes, at: int) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 of `SECONDS.BODY`, so that an old message cannot be sent again as a new one."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _variables(act: Mapping[str, Any]) -> dict[str, str]:
    """The act as the variables of a command: `RELEASE_` and the path to each value."""
    image, earlier = act["image"] or {}, (act["previous"] or {}).get("image") or {}
    return {
        "RELEASE_ACTION": act["action"],
        "RELEASE_KEY": act["key"],
        "RELEASE_PROJECT": act["project"],
        "RELEASE_PREVIEW": act["preview"],
        "RELEASE_PROMOTION": act["promotion"],
        "RELEASE_IMAGE": image.get("reference", ""),
        "RELEASE_IMAGE_DIGEST": image.get("id", ""),
        "RELEASE_PREVIOUS_IMAGE": earlier.get("reference", ""),
        "RELEASE_PREVIOUS_IMAGE_DIGEST": earlier.get("id", ""),
    }


def _first_lines(text: str) -> str:
    return "\n".join(line[:200] for line in text.splitlines()[:10])
