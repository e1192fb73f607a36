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

#: The rows come first, and what finds and guards them after: several times as quick, and the same in the end.
BARE = """
set work_mem = '256MB';
create temp table later as
select 1 as place, format('alter table %s drop constraint %I', conrelid::regclass, conname) as away,
       format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as back
from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace
union all
select 0, format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
from pg_index join pg_class on pg_class.oid = indexrelid
where relnamespace = 'public'::regnamespace and not indisunique;
select away from later \\gexec
"""
WHOLE = """
set maintenance_work_mem = '256MB';
select back from later order by place \\gexec
drop table later;
"""


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
    """A PREVIEW_HOME for the block, below BENCH_FOLDER or /var/tmp; its servers end with it, and nothing is left."""
    from neon_embedded import stop

    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("BENCH_FOLDER", "/var/tmp")))
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
    seed.write_text(f"set shop.orders = '{orders}';\n{BARE}{seed.read_text()}{WHOLE}")
    preview(folder, "psql", "--main", "--file", str(folder / "v1" / "schema.sql"))
    preview(folder, "psql", "--main", "--file", str(seed))
    preview(folder, "psql", "--branch", "development", "--file", str(folder / "v1" / "schema.sql"))
    preview(folder, "psql", "--branch", "development", "--file", str(folder / "development.sql"))
    return folder
