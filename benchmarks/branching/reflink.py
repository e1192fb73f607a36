"""A file system whose files share blocks, for as long as a benchmark runs: xfs in a file. Needs root and mkfs.xfs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def why_not() -> str:
    """Why this machine cannot have one; empty when it can."""
    if os.geteuid() != 0:
        return "only root mounts"
    for program in ("mkfs.xfs", "mount", "umount"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            return f"{program} is not installed"
    return ""


@contextmanager
def xfs(below: Path, gigabytes: int) -> Iterator[Path]:
    """A directory on a new xfs of this size (the file grows with use); unmounted and gone afterwards.

    Raises:
        SystemExit: the kernel or the container refuses.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-xfs-", dir=below))
    folder.chmod(0o755)
    image, mounted = folder / "image", folder / "mounted"
    mounted.mkdir()
    path = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    try:
        with image.open("wb") as file:
            file.truncate(gigabytes << 30)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True, env=path)
        done = subprocess.run(
            ["mount", "-o", "loop", image, mounted], capture_output=True, text=True, env=path, check=False
        )
        if done.returncode:
            raise SystemExit(f"xfs cannot be mounted here: {done.stderr.strip()}")
        try:
            mounted.chmod(0o755)
            yield mounted
        finally:
            subprocess.run(["umount", mounted], check=True, env=path)
    finally:
        shutil.rmtree(folder)
