"""A command or a webhook is told an image, again with the same key, and must say that the new version serves."""

import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SettingsError, StepFailed
from orchestrator.sections import ReleaseSection
from orchestrator.steps.announced import Announced

ACT = {
    "action": "release",
    "key": "pr-1-0a:release",
    "project": "p",
    "preview": "pr-1",
    "promotion": "77",
    "image": {"reference": "shop:2", "id": "sha256:22"},
    "previous": {"image": {"reference": "shop:1", "id": "sha256:11"}},
}


class Hook:
    """Answers with these statuses in turn, the last one again and again."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.asked = list(statuses), []
        hook = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.asked.append((self.path, dict(self.headers), body))
                self.send_response(hook.statuses.pop(0) if len(hook.statuses) > 1 else hook.statuses[0])
                self.end_headers()
                self.wfile.write(b"because")

            def do_GET(self) -> None:
                hook.asked.append((self.path, {}, b""))
                self.send_response(hook.statuses.pop(0) if len(hook.statuses) > 1 else hook.statuses[0])
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hooks() -> Iterator[Any]:
    made: list[Hook] = []

    def make(*statuses: int) -> Hook:
        made.append(Hook(*statuses))
        return made[-1]

    yield make
    for hook in made:
        hook.server.shutdown()
        hook.server.server_close()


def announced(tmp_path: Path, *, health_seconds: float = 60.0, **settings: Any) -> Announced:
    return Announced(ReleaseSection(**settings), tmp_path, tmp_path / "place", health_seconds=health_seconds)


def test_a_webhook_is_signed_and_told_again_with_the_same_key(
    hooks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "s3cret-s3cret")
    hook = hooks(503, 202, 200)
    said: list[str] = []

    announced(tmp_path, kind="webhook", url=f"{hook.url}/go?token=hidden", secret_env="HOOK_SECRET").tell(
        ACT, said.append
    )

    assert len(hook.asked) == 3
    assert {headers["Idempotency-Key"] for _, headers, _ in hook.asked} == {"pr-1-0a:release"}
    for _, headers, body in hook.asked:
        assert json.loads(body) == ACT
        at, _, digest = headers["Preview-Signature"].removeprefix("t=").partition(",v1=")
        assert digest == hmac.new(b"s3cret-s3cret", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert said == [
        f"telling {hook.url}/go",
        "waits: the webhook says HTTP 503",
        "waits: the webhook says HTTP 202",
    ]


def test_a_webhook_that_refuses_is_not_asked_again(hooks: Any, tmp_path: Path) -> None:
    hook = hooks(403)
    with pytest.raises(StepFailed, match=r"refused: HTTP 403") as failed:
        announced(tmp_path, kind="webhook", url=f"{hook.url}/?token=hidden").tell(ACT, lambda _: None)
    assert failed.value.detail == "because"
    assert "hidden" not in failed.value.message
    assert len(hook.asked) == 1


def test_a_webhook_that_is_not_done_in_time_says_what_it_said(hooks: Any, tmp_path: Path) -> None:
    hook = hooks(202)
    with pytest.raises(StepFailed, match=r"was not done within 1 s, asked \d+ times: HTTP 202"):
        announced(tmp_path, kind="webhook", url=hook.url, timeout_seconds=1).tell(ACT, lambda _: None)


def test_a_secret_that_is_not_set_is_said(hooks: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\$HOOK_MISSING is not set"):
        announced(tmp_path, kind="webhook", url=hooks(200).url, secret_env="HOOK_MISSING").tell(
            ACT, lambda _: None
        )


def test_what_is_not_healthy_afterwards_fails(hooks: Any, tmp_path: Path) -> None:
    health, hook = hooks(503, 503, 200), hooks(200)
    announced(tmp_path, kind="webhook", url=hook.url, health_url=f"{health.url}/healthz").tell(
        ACT, lambda _: None
    )
    assert len(health.asked) == 3

    never = f"{hooks(503).url}/healthz"
    with pytest.raises(StepFailed, match=r"/healthz was not healthy within 1 s of the release: HTTP 503"):
        announced(tmp_path, health_seconds=1.0, kind="webhook", url=hook.url, health_url=never).tell(
            ACT, lambda _: None
        )


def test_a_command_gets_the_image_by_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "very-secret-token")
    monkeypatch.setenv("NEON_API_KEY", "neon-key-neon-key")
    said: list[str] = []
    announced(
        tmp_path,
        kind="command",
        command="env | sort > told; echo token $DEPLOY_TOKEN; pwd",
        env_from=["DEPLOY_TOKEN"],
    ).tell(ACT, said.append)

    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines() if "=" in line)
    assert {key: value for key, value in told.items() if key.startswith("RELEASE_")} == {
        "RELEASE_ACTION": "release",
        "RELEASE_KEY": "pr-1-0a:release",
        "RELEASE_PROJECT": "p",
        "RELEASE_PREVIEW": "pr-1",
        "RELEASE_PROMOTION": "77",
        "RELEASE_IMAGE": "shop:2",
        "RELEASE_IMAGE_DIGEST": "sha256:22",
        "RELEASE_PREVIOUS_IMAGE": "shop:1",
        "RELEASE_PREVIOUS_IMAGE_DIGEST": "sha256:11",
    }
    assert told["DEPLOY_TOKEN"] == "very-secret-token"
    assert "NEON_API_KEY" not in told
    assert said == ["running the release command for shop:2", "| token ***", f"| {tmp_path}"]


def test_a_command_that_fails_shows_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="the release command exited with code 3") as failed:
        announced(tmp_path, kind="command", command=["sh", "-c", "echo no room; exit 3"]).tell(
            ACT, lambda _: None
        )
    assert failed.value.detail == "no room"
