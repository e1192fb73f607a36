"""Hostile inputs: no 500, no secret, nothing outside of its place."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from orchestrator.api.site import Site
from orchestrator.errors import UsageError
from orchestrator.jobs import contexts
from orchestrator.jobs.contexts import Contexts

Asking = Callable[..., TestClient]
EVIL = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f",
    "pr-1'; drop table preview_control.preview; --",
    "<script>alert(1)</script>",
    "pr-1%00",
    "a" * 5000,
    "PR-1",
    "-pr",
    "\u202epr",
    "{{7*7}}",
    "$(id)",
]


def test_names_that_are_none_are_refused_and_nothing_happens(asking: Asking, site: Site) -> None:
    client = asking("admin")
    asked = (("GET", ""), ("GET", "/logs"), ("GET", "/report"), ("POST", "/up"), ("POST", "/discard"))
    for name, (method, rest) in product(EVIL, asked):
        answer = client.request(
            method, f"/api/v1/previews/{name}{rest}", json={} if method == "POST" else None
        )
        assert answer.status_code in (400, 404, 405, 422), (method, rest, answer.text)
        assert "text/html" not in answer.headers["content-type"]
    with site.store("test") as store:
        assert store.live(closed=True) == ()


def test_texts_are_kept_as_texts(asking: Asking) -> None:
    client = asking("admin")
    for text in (
        "'; drop table x; --",
        "<img src=x onerror=alert(1)>",
        "\x00",
        "😀" * 50,
        "\ud83d",
        "%s %(a)s {0}",
    ):
        token = json.dumps({"who": "ada", "role": "viewer", "note": text})
        made = client.post("/api/v1/tokens", content=token, headers={"content-type": "application/json"})
        assert made.status_code in (201, 400, 422), made.text
        answers = json.dumps({"answers": {text: text}})
        answer = client.post(
            "/api/v1/previews/pr-1/up", content=answers, headers={"content-type": "application/json"}
        )
        assert answer.status_code in (202, 400, 422), answer.text
    assert client.get("/api/v1/tokens").status_code == 200
    assert client.get("/api/v1/audit").status_code == 200


HEADERS: list[dict[str, str]] = [
    {"x-forwarded-for": "127.0.0.1"},
    {"x-forwarded-host": "evil.example"},
    {"host": "evil.example"},
    {"x-http-method-override": "DELETE"},
    {"x-original-url": "/api/v1/tokens"},
    {"authorization": "Bearer " + "x" * 100_000},
    {"authorization": "Basic YWRtaW46YWRtaW4="},
    {"authorization": "Bearer preview_admin_00000000_" + "0" * 64},
    {"preview-role": "admin"},
    {"content-length": "-1"},
    {"transfer-encoding": "chunked, identity"},
]


def test_headers_open_nothing(client: TestClient) -> None:
    for headers in HEADERS:
        assert client.get("/api/v1/tokens", headers=headers).status_code in (401, 400), headers


def test_metrics_are_for_this_machine_and_admins_only(client: TestClient, asking: Asking) -> None:
    assert client.get("/metrics").status_code == 401  # the test client comes from elsewhere
    asking("viewer")
    assert client.get("/metrics").status_code == 403
    asking("admin")
    said = client.get("/metrics")
    assert said.status_code == 200
    assert "preview_previews" in said.text
    assert "preview_step_seconds" in said.text


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for info, content in entries:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.fixture(params=[True, False], ids=["filters", "none"])
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that has filters for archives, and Debian 12's, which has none."""
    monkeypatch.setattr(contexts, "HAS_FILTERS", request.param)


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize(
    "evil",
    [
        entry("../outside"),
        entry("/etc/outside"),
        entry("link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("link", tarfile.SYMTYPE, "../../outside"),
        entry("hard", tarfile.LNKTYPE, "/etc/passwd"),
        entry("device", tarfile.CHRTYPE),
    ],
    ids=lambda info: f"{info.name} {info.linkname}",
)
def test_sources_stay_in_their_folder(
    asking: Asking, site: Site, tmp_path: Path, evil: tarfile.TarInfo
) -> None:
    content = archive((entry("app.py"), b"print()"), (evil, b"" if evil.type != tarfile.REGTYPE else b"x"))
    digest = hashlib.sha256(content).hexdigest()
    assert asking("developer").put(f"/api/v1/contexts/{digest}", content=content).status_code == 201
    below = tmp_path / "sources"
    with site.store("test") as store:
        if evil.name.startswith("/"):
            Contexts(store.connection).unpack(digest, below)
        else:
            with pytest.raises(UsageError, match="cannot be unpacked"):
                Contexts(store.connection).unpack(digest, below)
    assert not (tmp_path / "outside").exists()
    assert not Path("/etc/outside").exists()
    assert [path for path in below.iterdir() if path.name.startswith(".")] == []


def sparse() -> tuple[tarfile.TarInfo, bytes]:
    """A file of a terabyte in a kilobyte: GNU tar's old format, whose map stands in the header."""
    info = entry("large", tarfile.GNUTYPE_SPARSE)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 0)
    header[483:495] = b"%011o\0" % (2**33 - 1)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return info, bytes(header)


def links(*pairs: tuple[str, str]) -> bytes:
    return archive(*((entry(name, tarfile.SYMTYPE, to), b"") for name, to in pairs), (entry("f"), b"x"))


LONG = "d" * 247


@pytest.mark.parametrize(
    "content",
    [
        sparse()[1] + bytes(1024),
        archive((entry("l", tarfile.SYMTYPE, "a"), b""), (entry("l/f"), b"x")),
        archive((entry("l/f"), b"x"), (entry("l", tarfile.SYMTYPE, "a"), b"")),
        archive((entry("./a/../l/f"), b"x"), (entry("l", tarfile.SYMTYPE, "a"), b"")),
        links(("Dockerfile", "a/b/../../../outside"), ("a", "c")),
        links(("Dockerfile", "a/b"), ("a", "."), ("b", "..")),
        links(("Dockerfile", "up/up/outside"), ("x/up", ".."), ("up", "x/up/..")),
        links(("a", "b"), ("b", "a")),
        links(("a", "b"), ("a", "c")),
        # CVE-2025-4517: more letters than a path may have, and the file system's answer is taken for the end of it.
        links(
            *(("/".join([LONG] * n + [chr(97 + n)]), LONG) for n in range(16)),
            ("Dockerfile", "/".join(chr(97 + n) for n in range(16)) + "/.." * 30 + "/outside"),
        ),
    ],
    ids=["sparse", "below", "before", "dots", "dots2", "two", "up", "circle", "twice", "long"],
)
def test_sources_hold_no_holes_and_no_way_outside(site: Site, tmp_path: Path, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    with site.store("test") as store:
        contexts = Contexts(store.connection)
        contexts.put(digest, io.BytesIO(content), who="ada", most=10**6)
        with pytest.raises(UsageError, match="cannot be unpacked"):
            contexts.unpack(digest, tmp_path / "sources")
    assert list((tmp_path / "sources").iterdir()) == []


@pytest.mark.usefixtures("python")
def test_links_within_sources_stay_links(site: Site, tmp_path: Path) -> None:
    content = links(("bin/tool", "../pkg/cli"), ("pkg", "packages/pkg"), ("packages/pkg/cli", "../../f"))
    digest = hashlib.sha256(content).hexdigest()
    with site.store("test") as store:
        contexts = Contexts(store.connection)
        contexts.put(digest, io.BytesIO(content), who="ada", most=10**6)
        folder = contexts.unpack(digest, tmp_path / "sources")
    assert (folder / "bin" / "tool").read_text() == "x"


def test_sources_are_what_their_digest_says_and_not_too_large(asking: Asking, site: Site) -> None:
    client = asking("developer")
    assert client.put(f"/api/v1/contexts/{'0' * 64}", content=b"x").status_code == 400
    content = archive((entry("app.py"), b"print()"))
    digest = hashlib.sha256(content).hexdigest()
    assert client.get(f"/api/v1/contexts/{digest}").json() == {"here": False}
    assert client.put(f"/api/v1/contexts/{digest}", content=content).status_code == 201
    assert client.put(f"/api/v1/contexts/{digest}", content=content).status_code == 201
    assert client.get(f"/api/v1/contexts/{digest}").json() == {"here": True}
    large = site.settings.server.upload_bytes + 1
    said = client.put(f"/api/v1/contexts/{digest}", content=b"", headers={"content-length": str(large)})
    assert said.status_code == 413
