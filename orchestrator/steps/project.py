"""The Neon project that previews are made in: its main branch, its branches, and connections to them.

Every connection that will change something goes through `connect_disposable` or, for a promotion, `connect_main`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from neon_client import NeonClient
from neon_client.models import Branch, ConnectionURI
from orchestrator.database import ALL_ROWS, COLD_SECONDS, HOLDS_LOCKS, Connection, connect
from orchestrator.errors import DatabaseUnreachable, SettingsError, StepFailed
from orchestrator.lifecycle import Preview, Promotion
from orchestrator.steps.border import translating

#: How the names of restore points begin: they are production's, not a preview's.
RESTORE = "restore/"
_FORMER = "-before"
#: How long a branch is waited for that did not answer in all its time before, in seconds.
AWAY_SECONDS = 2.0

#: On main the server gives up a session whose machine is gone without a word, and with it the turn; and one that stands
#: still inside of a transaction: everybody would wait for what it holds.
_ON_MAIN = {**HOLDS_LOCKS, "idle_in_transaction_session_timeout": "60s"}


@dataclass(kw_only=True)
class NeonProject:
    """One project, one database in it, one role.

    Attributes:
        neon: the client; talks to neon.tech or to the embedded server, which is all the same here.
        id: the project's id.
        key: where and which, as the diary writes it: ``embedded/PROJECT-ID``.
        database: the database that previews are about.
        wanted_role: the role from the settings, or None for the database's owner.
    """

    neon: NeonClient
    id: str
    key: str
    database: str
    wanted_role: str | None = None
    _roles: dict[str, str] = field(default_factory=dict)
    _away: set[str] = field(default_factory=set)

    @cached_property
    def main(self) -> Branch:
        """The branch that production runs on: the default one, whatever its name."""
        with translating("looking for main"):
            return self.neon.default_branch(self.id)

    def own_branch(self, preview: Preview) -> Branch | None:
        """The preview's branch, found by its derived name; None when there is none.

        Raises:
            StepFailed: a branch has that name and is not a child of main. A tool that trusted a name has
                migrated production (DESIGN, rule 2), so the parent is asked for too.
        """
        name = branch_name(preview)
        with translating(f"looking for branch {name}"):
            branch = self.neon.find_branch(self.id, name)
        if branch is None:
            return None
        if branch.id == self.main.id or branch.default or not self._is_mains(branch):
            raise StepFailed(
                f"branch {name} ({branch.id}) is not a child of {self.main.name} ({self.main.id}); "
                "it will not be touched",
                hint="rename that branch in Neon, or use another preview name",
            )
        return branch

    def _is_mains(self, branch: Branch) -> bool:
        """Whether a branch was made of main: of what it is, or of a state that a revert to a restore point kept."""
        if branch.parent_id == self.main.id:
            return True
        if branch.parent_id is None:
            return False
        parent = self.neon.branch(self.id, branch.parent_id)
        return is_former_main(parent.name) and not parent.default

    def remove_scratch(self, preview: Preview) -> None:
        """Remove the branch that a migration command made the goal on; absent is fine.

        It hangs on the preview's branch, which cannot go before it.

        Raises:
            StepFailed: it is main or protected, or still there afterwards.
        """
        self._remove_branch(scratch_name(preview))

    def remove_untouched(self, preview: Preview) -> None:
        """Remove the branch that a workload was compared on; absent is fine.

        Raises:
            StepFailed: it is main or protected, or still there afterwards.
        """
        self._remove_branch(untouched_name(preview))

    def remove_trials(self, preview: Preview) -> None:
        """Remove the branches that both versions of the app were tried on; absent is fine.

        Raises:
            StepFailed: one is main or protected, or still there afterwards.
        """
        for schema in ("old", "new"):
            self.remove_trial(preview, schema)

    def remove_trial(self, preview: Preview, schema: str) -> None:
        """Remove the branch with a schema that versions of the app were tried on, `old` or `new`; absent is fine.

        It may hang on the preview's branch, which cannot go before it.

        Raises:
            StepFailed: it is main or protected, or still there afterwards.
        """
        self._remove_branch(trial_name(preview, schema))

    def _remove_branch(self, name: str) -> None:
        with translating(f"removing branch {name}"):
            branch = self.neon.find_branch(self.id, name)
            if branch is None:
                return
            self.neon.assert_disposable(self.id, branch.id)
            self.neon.delete_branch(self.id, branch.id)
            if self.neon.find_branch(self.id, name) is not None:
                raise StepFailed(f"branch {name} is still there after it was deleted", hint="try again")

    def rotate(self, branch_id: str) -> None:
        """New passwords for every role of a branch: what it inherited opens its parent, too."""
        for role in self.neon.roles(self.id, branch_id):
            if not role.no_login:
                self.neon.reset_password(self.id, branch_id, role.name)

    def branch_of(self, branch: Branch, name: str) -> Branch | None:
        """A branch of a preview's branch, by its derived name; None when there is none.

        Raises:
            StepFailed: a branch has that name and is not a child of it.
        """
        with translating(f"looking for branch {name}"):
            found = self.neon.find_branch(self.id, name)
        if found is not None and (found.default or found.id == self.main.id or found.parent_id != branch.id):
            raise StepFailed(
                f"branch {name} ({found.id}) is not a child of {branch.name} ({branch.id}); it will not be touched",
                hint="rename that branch in Neon, or use another preview name",
            )
        return found

    def delete_own(self, branch: Branch) -> None:
        """Delete a preview's branch, and before it the throw-away branch of it that a dead run may have left."""
        left = self.branch_of(branch, way_back_name(branch.name))
        with translating(f"deleting branch {branch.name}"):
            if left is not None:
                self.neon.delete_branch(self.id, left.id)
            self.neon.delete_branch(self.id, branch.id)

    def role(self, branch_id: str) -> str:
        """The role that migrates and that the app logs in as.

        Raises:
            SettingsError: the branch has no such database.
        """
        if self.wanted_role:
            return self.wanted_role
        if branch_id not in self._roles:
            with translating("looking for the database's owner"):
                databases = self.neon.databases(self.id, branch_id)
            owners = {database.name: database.owner_name for database in databases}
            if self.database not in owners:
                raise SettingsError(
                    f"project {self.id} has no database {self.database!r}, only {', '.join(sorted(owners)) or 'none'}",
                    hint="set project.database in preview.toml",
                )
            self._roles[branch_id] = owners[self.database]
        return self._roles[branch_id]

    def databases(self) -> tuple[str, ...]:
        """The names of all databases of main: they share a restore point, and each has a turn of its own."""
        with translating("looking for the databases of main"):
            found = self.neon.databases(self.id, self.main.id)
        return tuple(sorted(each.name for each in found))

    def uri(self, branch_id: str) -> ConnectionURI:
        """The direct (not pooled) URI of our database on a branch, with the role's password in it."""
        with translating(f"asking for the connection URI of branch {branch_id}"):
            return self.neon.connection_uri(
                self.id, branch_id=branch_id, database=self.database, role=self.role(branch_id), pooled=False
            )

    def connect_disposable(self, branch_id: str, purpose: str) -> Connection:
        """A connection that may change a preview's branch.

        Raises:
            StepFailed: the branch is main or protected; nothing was connected to.
        """
        with translating(f"checking that branch {branch_id} is a preview's"):
            self.neon.assert_disposable(self.id, branch_id)
        if branch_id == self.main.id:
            raise StepFailed(f"branch {branch_id} is main; a preview's migration never runs there")
        return self._connect(branch_id, purpose)

    def connect_reading(self, branch_id: str, purpose: str) -> Connection:
        """A connection whose transactions are read-only by default (Postgres docs, default_transaction_read_only)."""
        return self._connect(branch_id, purpose, settings={"default_transaction_read_only": "on"})

    def connect_main(self, purpose: str) -> Connection:
        """A connection that may change main: only a promotion asks for it."""
        return self._connect(self.main.id, purpose, settings=_ON_MAIN)

    def _connect(
        self, branch_id: str, purpose: str, *, settings: Mapping[str, str] | None = None
    ) -> Connection:
        """Patient with a branch that may be cold; once that was in vain, no verb waits as long for it again."""
        patience = AWAY_SECONDS if branch_id in self._away else COLD_SECONDS
        began = time.monotonic()
        try:
            connection = connect(
                self.uri(branch_id).reveal(),
                purpose=purpose,
                patience_seconds=patience,
                settings={**ALL_ROWS, **(settings or {})},
            )
        except DatabaseUnreachable:
            if time.monotonic() - began >= patience:  # else it answered, and said no
                self._away.add(branch_id)
            raise
        self._away.discard(branch_id)
        return connection


def annotations(preview: Preview) -> dict[str, str]:
    """The annotations by which a sweep finds whose a branch is: names can be given by anybody."""
    mark = {"preview-store": preview.facts["store"]} if preview.facts.get("store") else {}
    return {"preview-id": preview.id, "preview-name": preview.name, **mark}


def way_back_name(name: str) -> str:
    """The derived name of the branch on which the way back of a preview's branch is tried."""
    return f"{name}-back"


def branch_name(preview: Preview) -> str:
    """The derived name of a preview's branch."""
    return f"preview/{preview.slug}"


def restore_name(promotion: Promotion) -> str:
    """The derived name of a promotion's restore point."""
    return f"{RESTORE}{promotion.slug}"


def former_main_name(revert: Promotion) -> str:
    """The derived name of the branch that keeps main as it was before a revert went to a restore point."""
    return f"{restore_name(revert)}{_FORMER}"


def is_former_main(name: str) -> bool:
    """Whether a branch of this name keeps such a state."""
    return name.startswith(RESTORE) and name.endswith(_FORMER)


def scratch_name(preview: Preview) -> str:
    """The derived name of the branch on which a migration command makes the goal."""
    return f"{branch_name(preview)}-goal"


def trial_name(preview: Preview, schema: str) -> str:
    """The derived name of the branch with a schema on which versions of the app are tried, `old` or `new`."""
    return f"check/{preview.slug}" + ("" if schema == "old" else f"-{schema}")


def untouched_name(preview: Preview) -> str:
    """The derived name of the branch that stays as main is, to compare with."""
    return f"{branch_name(preview)}-untouched"
