"""Values and readers without any engine: fingerprints, redaction, Dockerfiles, build logs, source trees, ports."""

import base64
import io
import socket
import tarfile
import tempfile
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preview.build_log import BuildLog, fields
from preview.dockerfile import base_images, syntax_image
from preview.engine import engine_address, is_local
from preview.errors import BuildFailed
from preview.excerpt import last_heads, phrase, tail_of
from preview.lines import LONGEST_PIECE, pieces_of
from preview.log_file import log_lines
from preview.ports import free_ports, is_free
from preview.source import tree_hash, write_archive
from preview.spec import CandidateSpec, HealthCheck, Image, Resources, fingerprint, redact
from preview.traffic import ports_on_every_address

SPEC = CandidateSpec(name="one", port=80, image=Image(reference="a:1", id="sha256:1"), environment={"A": "b"})


@pytest.mark.parametrize(
    "changed",
    [
        replace(SPEC, name="two"),
        replace(SPEC, port=81),
        replace(SPEC, image=Image(reference="a:1", id="sha256:2")),
        replace(SPEC, command=("x",)),
        replace(SPEC, working_directory=Path("/x")),
        replace(SPEC, environment={"A": "c"}),
        replace(SPEC, host_port=2000),
        replace(SPEC, labels={"l": "1"}),
        replace(SPEC, resources=Resources(memory_bytes=1)),
    ],
)
def test_what_changes_a_candidate_changes_its_fingerprint(changed):
    assert fingerprint(changed) != fingerprint(SPEC)


@pytest.mark.parametrize(
    "same",
    [
        replace(SPEC, health=HealthCheck(timeout_seconds=1)),
        replace(SPEC, image=Image(reference="other-name:2", id="sha256:1")),
    ],
)
def test_what_does_not_change_a_candidate_keeps_its_fingerprint(same):
    assert fingerprint(same) == fingerprint(SPEC)


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=8), max_size=4), st.text(), st.text())
def test_no_long_value_survives_redaction(environment, before, after):
    for value in environment.values():
        (line,) = redact([before + value + after], environment)
        assert value not in line or value in "***" + before + after + "***"


def test_a_password_inside_a_url_is_hidden_even_alone_and_short():
    environment = {"DATABASE_URL": "postgresql://app:geheim99@db:5432/shop"}
    lines = ["auth failed: geheim99", "dialling postgresql://app:geheim99@other/x", "on port 5432"]
    assert redact(lines, environment) == (
        "auth failed: ***",
        "dialling postgresql://app:***@other/x",
        "on port 5432",
    )
    assert redact(["see http://u:pw@h/"], {"U": "http://u:pw@h/"}) == ("see http://u:***@h/",)


PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\r\n  c2Vjb25kIGxpbmU=\nshort\n-----END PRIVATE KEY-----\n"


def test_every_line_of_a_value_of_many_lines_is_hidden():
    said = ["key: MIIEvQIBADANBgkqhkiG9w0B", "c2Vjb25kIGxpbmU=", "short", repr(PEM)]
    hidden = redact(said, {"KEY": PEM})
    assert hidden[:3] == ("key: ***", "***", "short")
    assert not any(line in hidden[3] for line in ("MIIEvQIBADANBgkqhkiG9w0B", "c2Vjb25kIGxpbmU="))


def test_a_password_is_also_hidden_as_it_is_after_decoding():
    environment = {"URLS": '{"url":\n"postgresql://app:p%40ss%3Aword@db/x"}'}
    assert redact(["login with p@ss:word failed", "p%40ss%3Aword"], environment) == (
        "login with *** failed",
        "***",
    )


def whole(*lines: str) -> tuple[str, ...]:
    """What an error carries of an app that says these lines."""
    return tail_of(
        last_heads(pieces_of([("\n".join(lines)).encode()])), {"KEY": PEM, "TOKEN": "tok-1234567890"}
    )


def test_an_error_carries_no_escapes_and_no_controls():
    said = "\x1b[2J\x1b]0;title\x07\x1bP1$r\x1b\\a\tb\x1b[1;31mred\x1b[0m\x00\x08\x9b2J\x7f\u202e\x1bc\rend"
    assert whole(said) == ("a\tbred end",)


@given(st.text())
def test_whatever_is_said_nothing_of_it_steers_a_terminal(text):
    for line in whole(text):
        assert not any(unicodedata.category(c) == "Cc" and c != "\t" for c in line)


def test_escapes_inside_of_a_secret_do_not_save_it():
    assert whole("using tok-\x1b[1m12345\x1b[0m67890 now") == ("using *** now",)


def test_long_lines_and_long_tails_are_cut_and_say_so():
    (line,) = whole("x" * 3_000_000)
    assert line == "x" * 500 + " [... cut]"
    many = whole(*(f"{number:03d}" + "y" * 900 for number in range(100)))
    assert sum(len(one) + 1 for one in many) <= 17 * 1024
    assert "left out" in many[0]
    assert many[-1].startswith("099y")
    assert whole("short", "lines") == ("short", "lines")
    assert len(whole(*"z" * 1000)) == 40


@pytest.mark.parametrize("before", range(LONGEST_PIECE - 16, LONGEST_PIECE + 2))
def test_a_secret_at_the_cut_is_not_left_by_half(before):
    """Long runs of escapes in front make that what comes after 64 KiB is still among the first 500 characters."""
    filling = ("\x1b[0m" * before)[: before - before % 4] + "." * (before % 4)
    (line,) = whole(filling + "tok-1234567890" + "t" * 100)
    assert "tok-" not in line
    assert "123" not in line


def test_foreign_words_in_a_message_are_one_short_line_without_secrets():
    said = phrase("RUN <<EOF\necho tok-1234567890\x1b[2J\n" + "x" * 5000, {"T": "tok-1234567890"})
    assert said.startswith("RUN <<EOF echo *** xxx")
    assert len(said) < 600


@given(st.lists(st.text(alphabet="a\n\ré", max_size=30)), st.integers(1, 7))
def test_lines_come_out_as_they_went_in_however_they_were_cut(texts, size):
    text = "".join(texts)
    raw = text.encode()
    pieces = list(pieces_of(raw[at : at + size] for at in range(0, len(raw), size)))
    expected = [line.rstrip("\r") for line in text.split("\n")]
    assert [piece.text for piece in pieces] == (
        expected if text and not text.endswith("\n") else expected[:-1]
    )


@pytest.mark.parametrize(
    "length", [0, 1, LONGEST_PIECE - 1, LONGEST_PIECE, LONGEST_PIECE + 1, 3 * LONGEST_PIECE]
)
@pytest.mark.parametrize("size", [1000, 10**6])
def test_a_long_line_comes_in_pieces_that_make_it_whole(length, size):
    raw = b"before\n" + b"x" * length + b"\nafter"
    pieces = list(pieces_of(raw[at : at + size] for at in range(0, len(raw), size)))
    assert max(len(piece.text) for piece in pieces) <= LONGEST_PIECE
    again = "".join(("" if piece.goes_on else "\n") + piece.text for piece in pieces)
    assert again.encode() == b"\n" + raw


@given(
    st.lists(st.sampled_from(["", "a", "bb", "ccc"]), max_size=12),
    st.booleans(),
    st.integers(0, 60),
    st.integers(0, 9),
)
def test_the_tail_of_a_log_in_two_files(lines, finished, cut, wanted):
    text = "\n".join(lines) + ("\n" if finished and lines else "")
    with tempfile.TemporaryDirectory() as folder:
        if text[:cut]:
            (Path(folder) / "log.1").write_text(text[:cut])
        (Path(folder) / "log").write_text(text[cut:])
        expected = text.split("\n")[:-1] if text.endswith("\n") or not text else text.split("\n")
        expected = expected[-wanted:] if wanted else []
        assert list(log_lines(Path(folder), tail=wanted)) == expected


DOCKERFILE = """\
# escape=\\
# syntax=docker/dockerfile:1
ARG BASE=python:3.12
ARG TAG
FROM --platform=linux/amd64 ${BASE} AS build
ARG BASE=not-global
RUN echo FROM nothing
FROM node:${TAG:-20} \\
  AS assets
FROM scratch
COPY --from=build /a /a
COPY --chown=1:1 --from=nginx:1 /b /b
COPY --from=0 /c /c
FROM ${UNKNOWN}
from Build
"""


def test_the_images_a_dockerfile_needs():
    assert base_images(DOCKERFILE, {}) == ("python:3.12", "node:20", "nginx:1")
    assert base_images(DOCKERFILE, {"BASE": "preview-base:python3", "TAG": "22"}) == (
        "preview-base:python3",
        "node:22",
        "nginx:1",
    )
    assert syntax_image(DOCKERFILE) == "docker/dockerfile:1"
    assert syntax_image("FROM x\n# syntax=docker/dockerfile:1\n") is None
    assert syntax_image("# a remark\n# syntax=docker/dockerfile:1\nFROM x\n") is None


@given(st.text())
def test_any_text_can_be_read_as_a_dockerfile(text):
    base_images(text, {})
    syntax_image(text)


def encoded(number: int, content: bytes) -> bytes:
    def varint(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    return varint(number << 3 | 2) + varint(len(content)) + content


@given(st.lists(st.tuples(st.integers(1, 1000), st.binary(max_size=300)), max_size=6))
def test_protobuf_fields_come_back_as_written(written):
    assert list(fields(b"".join(encoded(n, c) for n, c in written))) == written


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_value_error(message):
    try:
        list(fields(message))
    except ValueError:
        return


def trace(*entries: bytes) -> dict[str, object]:
    return {"id": "moby.buildkit.trace", "aux": base64.b64encode(b"".join(entries)).decode()}


def test_a_buildkit_log_tells_steps_lines_and_the_failing_one():
    log = BuildLog()
    good = encoded(1, b"d1") + encoded(3, b"[1/2] FROM x") + encoded(5, b"t")
    bad = encoded(1, b"d2") + encoded(3, b"[2/2] RUN make") + encoded(5, b"t")
    assert log.feed(trace(encoded(1, good), encoded(1, bad))) == ["[1/2] FROM x", "[2/2] RUN make"]
    assert log.feed(trace(encoded(3, encoded(1, b"d1") + encoded(4, b"other\n")))) == ["other"]
    assert log.feed(trace(encoded(3, encoded(1, b"d2") + encoded(4, b"no rule\nto make\n")))) == [
        "no rule",
        "to make",
    ]
    log.feed(trace(encoded(1, bad + encoded(7, b"exit code: 2"))))
    log.feed({"errorDetail": {"message": "exit code: 2"}, "error": "exit code: 2"})
    assert (log.error, log.failed_step, log.tail()) == (
        "exit code: 2",
        "[2/2] RUN make",
        ("no rule", "to make"),
    )


def test_a_line_that_buildkit_cuts_is_one_line():
    """A secret that was cut in two would be found in neither half."""
    log = BuildLog()
    said = [encoded(3, encoded(1, b"d1") + encoded(4, part)) for part in (b"tok-123", b"4567890\nlast")]
    assert [log.feed(trace(part)) for part in said] == [[], ["tok-1234567890"]]
    assert log.end() == ["last"]
    assert log.tail() == ("tok-1234567890", "last")


def test_a_legacy_log_is_put_together_from_pieces():
    log = BuildLog()
    assert log.feed({"stream": "Step 1/1 : RU"}) == []
    assert log.feed({"stream": "N false\nhello\n"}) == ["Step 1/1 : RUN false", "hello"]
    log.feed({"aux": {"ID": "sha256:1"}})
    assert (log.failed_step, log.image_id, log.tail()) == (
        "RUN false",
        "sha256:1",
        ("Step 1/1 : RUN false", "hello"),
    )


@given(st.binary(max_size=100))
def test_an_unreadable_trace_does_not_end_a_build(content):
    BuildLog().feed({"id": "moby.buildkit.trace", "aux": base64.b64encode(content).decode()})


def tree(root: Path) -> Path:
    (root / "src").mkdir(parents=True)
    (root / "node_modules").mkdir()
    (root / "node_modules" / "big.js").write_text("big")
    (root / "src" / "app.py").write_text("print(1)")
    (root / "secret.env").write_text("PASSWORD=1")
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / ".dockerignore").write_text("# a remark\nsecret.env\nnode_modules\nDockerfile\n")
    return root


def test_the_archive_leaves_out_what_dockerignore_names_but_never_the_dockerfile(tmp_path):
    buffer = io.BytesIO()
    write_archive(tree(tmp_path / "t"), "Dockerfile", None, buffer)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        members = archive.getmembers()
    assert {member.name for member in members} == {".dockerignore", "Dockerfile", "src", "src/app.py"}
    assert {member.uid for member in members} == {0}
    # An archive that begins with a PAX header is taken for a Dockerfile by the engine.
    assert not any(member.pax_headers for member in members)


def test_a_dockerfiles_own_dockerignore_goes_first(tmp_path):
    root = tree(tmp_path / "t")
    (root / "Dockerfile.dockerignore").write_text("src\n")
    buffer = io.BytesIO()
    write_archive(root, "Dockerfile", None, buffer)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        assert {"secret.env", "node_modules"} <= set(archive.getnames())
        assert "src/app.py" not in archive.getnames()


def test_a_tree_is_known_by_its_content(tmp_path):
    root, copy = tree(tmp_path / "a"), tree(tmp_path / "b")
    first = tree_hash(root, "Dockerfile")
    assert tree_hash(copy, "Dockerfile") == first
    (copy / "secret.env").write_text("ignored")
    (copy / "src" / "__pycache__").mkdir()
    (copy / "src" / "__pycache__" / "app.pyc").write_text("made by running")
    assert tree_hash(copy, "Dockerfile") == first
    (copy / "src" / "app.py").write_text("print(2)")
    assert tree_hash(copy, "Dockerfile") != first
    (root / "src" / "app.py").chmod(0o755)
    assert tree_hash(root, "Dockerfile") != first


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BuildFailed, match="not-there"):
        tree_hash(tmp_path / "not-there", "Dockerfile")


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("unix:///var/run/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://localhost", True),
        ("npipe:////./pipe/docker_engine", True),
        ("tcp://10.0.0.7:2376", False),
        ("ssh://me@host", False),
        ("tcp://127.0.0.1.example.com:2375", False),
    ],
)
def test_which_engines_are_this_machines(address, local):
    assert is_local(address) is local


def test_docker_host_goes_before_any_context(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert engine_address()[0] == "tcp://127.0.0.1:1"


def test_chosen_ports_are_free_stable_and_below_the_ephemeral_range():
    ports = free_ports("a-name")
    first = next(ports)
    assert next(free_ports("a-name")) == first
    assert 20000 <= first < 32768
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", first))
        holder.listen()
        assert not is_free(first)
        assert next(free_ports("a-name")) != first


def test_who_listens_on_every_address(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st\n"
    (tmp_path / "tcp").write_text(
        f"{head}   0: 00000000:1F90 00000000:0000 0A x\n   1: 0100007F:1F91 00000000:0000 0A x\n"
        "   2: 00000000:1F92 0100007F:0050 01 x\n   3: 00000000:0016 00000000:0000 0A x\n"
    )
    assert ports_on_every_address(tmp_path) == (22, 8080)
    (tmp_path / "tcp6").write_text(f"{head}   0: {'0' * 32}:0050 {'0' * 32}:0000 0A x\n")
    assert ports_on_every_address(tmp_path) == (22, 80, 8080)
    assert ports_on_every_address(tmp_path / "nowhere") == ()
