"""The user that postmasters run as: ourselves, or an unprivileged user when we are root. Starts no process."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from neon_embedded.errors import HomeUnusable


class Identity(TypedDict, total=False):
    """Arguments of ``subprocess.Popen`` that make a process somebody else's; empty when we stay ourselves."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An operating system user.

    Attributes:
        name: login name.
        uid: user id.
        gid: primary group id.
        switch: whether we must become this user (we are root, and PostgreSQL refuses root).
    """

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def identity(self) -> Identity:
        """How to start a process as this user."""
        return Identity(user=self.uid, group=self.gid, extra_groups=[]) if self.switch else Identity()

    def own(self, path: Path) -> None:
        """Give a file or directory to this user."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def may(self, path: Path, bits: int) -> bool:
        """Whether this user has all of ``bits`` (4 read, 2 write, 1 enter) on the path, by its mode."""
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return (status.st_mode >> shift) & bits == bits

    def assert_reaches(self, path: Path) -> None:
        """Make sure that this user can enter every directory down to ``path``. Raises HomeUnusable."""
        if not self.switch:
            return
        for directory in [*reversed(path.parents), path]:
            if not self.may(directory, 1):
                raise HomeUnusable(
                    f"{directory} cannot be entered by user {self.name!r}, who runs PostgreSQL because root may not",
                    hint="choose a directory that everybody can enter with PREVIEW_HOME, e.g. /var/lib/preview",
                )


def postgres_account() -> Account:
    """Who runs the postmasters: us; for root $PREVIEW_POSTGRES_USER, else ``postgres``, else ``nobody``.

    Raises:
        HomeUnusable: the user that was asked for does not exist, or is root.
    """
    if os.geteuid() != 0:
        me = pwd.getpwuid(os.geteuid())
        return Account(name=me.pw_name, uid=me.pw_uid, gid=os.getegid(), switch=False)
    asked = os.environ.get("PREVIEW_POSTGRES_USER")
    for name in [asked] if asked else ["postgres", "nobody"]:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
    raise HomeUnusable(
        f"PostgreSQL refuses to run as root and user {asked or 'nobody'!r} cannot be used",
        hint="name an existing unprivileged user with PREVIEW_POSTGRES_USER",
    )
