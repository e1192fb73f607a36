"""Sources of apps that clients sent: kept in the store by their digest, unpacked where a worker needs them.

In the store, because a worker may be another machine than the one that took them.
"""

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from orchestrator.database import Connection
from orchestrator.errors import Refused, UsageError

_PART = 2**20
#: How much one person may have lying here that no preview uses, as a multiple of one upload's limit.
_UNUSED = 10
#: How long sources that no preview uses are kept.
_UNUSED_HOURS = 6
#: How many links one path may lead through, as Linux has it.
_MOST_TURNS = 40
#: Python 3.11 has filters from 3.11.4 on; Debian 12's has none.
HAS_FILTERS = hasattr(tarfile, "data_filter")


class Contexts:
    """The store's sources.

    Args:
        connection: an autocommit connection to the store's database, whose own tables are there.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def has(self, digest: str) -> bool:
        """Whether they are here; says that they are wanted again, too."""
        row = self._connection.execute(
            "update preview_control.context set used_at = now() where digest = %s returning digest", (digest,)
        ).fetchone()
        return row is not None

    def put(self, digest: str, archive: IO[bytes], *, who: str, most: int) -> None:
        """Keep an archive; one that is here already stays.

        Args:
            digest: the SHA-256 of the archive, hexadecimal.
            archive: at its beginning.
            who: whose it is.
            most: the most bytes of one archive.

        Raises:
            UsageError: it is not what its digest says.
            Refused: too much of this person lies here unused.
        """
        total, size = hashlib.sha256(), 0
        while part := archive.read(_PART):
            total.update(part)
            size += len(part)
        if total.hexdigest() != digest:
            raise UsageError("the sources are not what their digest says", hint="send them again")
        archive.seek(0)
        with self._connection.transaction():
            new = self._connection.execute(
                "insert into preview_control.context (digest, bytes, who) values (%s, %s, %s) "
                "on conflict (digest) do nothing returning digest",
                (digest, size, who),
            ).fetchone()
            if new is None:
                return
            row = self._connection.execute(
                "select coalesce(sum(bytes), 0) from preview_control.context c where who = %s "
                "and not exists (select from preview_control.preview p "
                "where p.state <> 'closed' and p.facts #>> '{source,context}' = c.digest)",
                (who,),
            ).fetchone()
            if row is not None and row[0] > most * _UNUSED:
                raise Refused(
                    f"{row[0]} bytes of sources of {who} lie here unused",
                    hint=f"they go by themselves after {_UNUSED_HOURS} hours",
                )
            number = 0
            while part := archive.read(_PART):
                self._connection.execute(
                    "insert into preview_control.context_part (digest, number, content) values (%s, %s, %s)",
                    (digest, number, part),
                )
                number += 1

    def unpack(self, digest: str, below: Path) -> Path:
        """The sources as a folder, `below/DIGEST`; unpacked when they are not there yet.

        Raises:
            UsageError: they are not here, or hold what no folder may: a path or a link that leads outside, a device.
        """
        folder = below / digest
        if folder.is_dir():
            return folder
        below.mkdir(parents=True, exist_ok=True)
        below.chmod(0o755)
        with tempfile.TemporaryFile() as archive:
            parts = self._connection.execute(
                "select number from preview_control.context_part where digest = %s order by number", (digest,)
            ).fetchall()
            if not parts:
                raise UsageError(
                    "the app's sources are not here any more", hint="run `preview up` again: it sends them"
                )
            for (number,) in parts:
                row = self._connection.execute(
                    "select content from preview_control.context_part where digest = %s and number = %s",
                    (digest, number),
                ).fetchone()
                archive.write(row[0] if row else b"")
            archive.seek(0)
            # Somewhere else first: a folder of this name is always whole.
            making = Path(tempfile.mkdtemp(dir=below, prefix=".making-"))
            try:
                with tarfile.open(fileobj=archive, mode="r:") as tar:
                    _extract(tar, making)
                making.chmod(0o755)
                try:
                    making.rename(folder)
                except OSError:
                    if not folder.is_dir():
                        raise
            except (tarfile.TarError, ValueError) as error:
                raise UsageError(f"the app's sources cannot be unpacked: {error}") from None
            finally:
                shutil.rmtree(making, ignore_errors=True)
        return folder

    def used(self) -> frozenset[str]:
        """The digests that previews use which are not closed."""
        rows = self._connection.execute(
            "select distinct facts #>> '{source,context}' from preview_control.preview where state <> 'closed'"
        ).fetchall()
        return frozenset(digest for (digest,) in rows if digest)

    def forget(self) -> None:
        """Remove what no preview uses and nobody asked for lately."""
        self._connection.execute(
            "delete from preview_control.context c where used_at < now() - make_interval(hours => %s) "
            "and not exists (select from preview_control.preview p "
            "where p.state <> 'closed' and p.facts #>> '{source,context}' = c.digest)",
            (_UNUSED_HOURS,),
        )

    def tidy(self, below: Path) -> None:
        """Remove the folders of sources that the store does not hold any more, and what an unpacking left."""
        if not below.is_dir():
            return
        known = {
            digest
            for (digest,) in self._connection.execute("select digest from preview_control.context").fetchall()
        }
        for folder in below.iterdir():
            old = folder.name.startswith(".making-") and _age_hours(folder) > 1
            if old or (
                not folder.name.startswith(".") and folder.name not in known and _age_hours(folder) > 1
            ):
                shutil.rmtree(folder, ignore_errors=True)


def _extract(tar: tarfile.TarFile, to: Path) -> None:
    if HAS_FILTERS:
        tar.extractall(to, members=_plain(tar), filter="data")
    else:
        tar.extractall(to, members=(_as_data(each) for each in _plain(tar)))  # noqa: S202 - see _as_data


def _as_data(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """What Python's own filter does, for those without: a file, a folder or a link that is ours, inside."""
    member.name = member.name.lstrip("/")
    if ".." in _parts(member.name) or member.linkname.startswith("/"):
        raise tarfile.ReadError(f"{member.name[:80]!r} leads outside")
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise tarfile.ReadError(f"{member.name[:80]!r} is no file, folder or link")
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    member.mode = (member.mode & 0o755) | (0o700 if member.isdir() else 0o600)
    return member


def _plain(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of an archive; refuses what no packed folder holds, and links that lead outside by whatever way.

    Python's own filter asks the file system where a path leads, which long chains of links have misled before; and to
    it a sparse file of a terabyte is one like others.
    """
    members = [(member, _parts(member.name)) for member in tar.getmembers()]
    links: dict[tuple[str, ...], str] = {}
    for member, path in members:
        if member.issym() and links.setdefault(path, member.linkname) != member.linkname:
            raise tarfile.ReadError(f"{member.name[:80]!r} is two links")
    for member, path in members:
        if member.issparse():
            raise tarfile.ReadError(f"{member.name[:80]!r} is a sparse file")
        if any(path[:length] in links for length in range(1, len(path))):
            raise tarfile.ReadError(f"{member.name[:80]!r} lies below a link")
        if (member.issym() and _leads_outside((*path[:-1], *member.linkname.split("/")), links)) or (
            member.islnk() and _leads_outside(_parts(member.linkname), links)
        ):
            raise tarfile.ReadError(f"{member.name[:80]!r} leads outside")
        yield member


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in os.path.normpath(name).split("/") if part)


def _leads_outside(path: tuple[str, ...], links: Mapping[tuple[str, ...], str]) -> bool:
    """Whether a path of the archive leads out of it, followed through all of its links; a circle does."""
    at: list[str] = []
    to_go, turns = list(reversed(path)), 0
    while to_go:
        part = to_go.pop()
        if part == ".." and not at:
            return True
        if part == "..":
            at.pop()
        elif part not in ("", "."):
            at.append(part)
        if (link := links.get(tuple(at))) is not None:
            turns += 1
            if turns > _MOST_TURNS or link.startswith("/"):
                return True
            at.pop()
            to_go += reversed(link.split("/"))
    return False


def _age_hours(folder: Path) -> float:
    import time

    try:
        return (time.time() - folder.stat().st_mtime) / 3600
    except OSError:
        return 0.0
