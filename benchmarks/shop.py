"""The shop of examples/shop on an embedded Neon of its own, at any size: what several benchmarks begin with."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SHOP = REPOSITORY / "examples" / "shop"
ANSWERS = {"rename:column:public.customers.full_name": "name"}


def preview(folder: Path, *words: str, accepted: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """One command of this working copy, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "-C", str(folder), *words],
        cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in accepted:
        raise SystemExit(f"preview {' '.join(words)}: {done.stderr}")
    return done


@contextmanager
def own_home(prefix: str) -> Iterator[Path]:
    """A PREVIEW_HOME for the block; its servers end with it, and nothing is left."""
    from neon_embedded import stop

    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/var/tmp"))
    folder.chmod(0o755)
    os.environ["PREVIEW_HOME"] = str(folder)
    try:
        yield folder
    finally:
        stop(folder)
        shutil.rmtree(folder)


def prepare(home: Path, orders: int, settings: str) -> Path:
    """Production with so many orders, a development database one version ahead, and preview.toml.

    Args:
        home: of everything.
        orders: how many.
        settings: what preview.toml says beside what `init` wrote, below `[app]`.

    Returns:
        The shop's folder.
    """
    folder = home / f"shop-{orders}"
    shutil.copytree(SHOP, folder)
    preview(
        folder,
        *("init", "--neon", "embedded", "--project", f"shop-{orders}", "--database", "shop"),
        *("--goal-branch", "development", "--context", "v2"),
    )
    file = folder / "preview.toml"
    file.write_text(
        file.read_text() + 'command = ["python3", "app.py"]\n[runtime]\nkind = "process"\n' + settings
    )
    seed = folder / "seed.sql"
    seed.write_text(f"set shop.orders = '{orders}';\n{seed.read_text()}")
    preview(folder, "psql", "--main", "--file", str(folder / "v1" / "schema.sql"))
    preview(folder, "psql", "--main", "--file", str(seed))
    preview(folder, "psql", "--branch", "development", "--file", str(folder / "v1" / "schema.sql"))
    preview(folder, "psql", "--branch", "development", "--file", str(folder / "development.sql"))
    return folder
