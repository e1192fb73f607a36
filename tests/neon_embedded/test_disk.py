"""A disk that is too small for a copy: refused with numbers, nothing left, the parent unharmed."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from neon_client import NeonClient, OperationFailed
from neon_embedded import ensure_running, stop
from neon_embedded.account import postgres_account
from neon_embedded.clone import clone_directory
from neon_embedded.errors import CloneFailed


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 330 MB: room for a project, not for its copy beside the reserve."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    folder = Path(tempfile.mkdtemp(prefix="neon-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=330m,mode=0755", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("this machine does not allow mounts")
    yield folder
    stop(folder / "home")
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def test_a_branch_that_does_not_fit(small_disk: Path) -> None:
    running = ensure_running(small_disk / "home")
    with NeonClient(api_key=running.api_key, base_url=running.base_url) as client:
        made = client.create_project(name="big")
        with psycopg.connect(made.connection_uris[0].reveal(), autocommit=True) as main:
            main.execute("create table big as select repeat('x', 1900) t from generate_series(1, 10000)")
            with pytest.raises(OperationFailed, match=r"MB free; a copy of .* MB"):
                client.create_branch(made.project.id, name="b", parent_id=made.branch.id)
            main.execute("insert into big select 'still alive'")
        assert [each.name for each in (small_disk / "home" / "branches").iterdir()] == [made.branch.id]
        assert client.find_branch(made.project.id, "b") is None


def test_a_disk_that_fills_up_meanwhile(small_disk: Path, tmp_path: Path) -> None:
    """The reserve is a guess; what the kernel says counts."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"x" * 10_000_000)
    (small_disk / "other").write_bytes(b"y" * 40_000_000)
    (source / "hole").touch()
    os.truncate(source / "hole", 400_000_000)  # no blocks where it is, many where it is copied to
    with pytest.raises(CloneFailed, match="No space left on device"):
        clone_directory(source, small_disk / "copy", account=postgres_account(), with_wal=True)
