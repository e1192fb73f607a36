"""Kinds of things on Neon: a preview's branches, and what hangs on them. Never removes main or a protected branch."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from neon_client.models import Branch
from orchestrator.errors import StepFailed
from orchestrator.lifecycle import Preview
from orchestrator.resources.thing import Kind, Thing, owner_in
from orchestrator.steps.border import translating
from orchestrator.steps.project import is_former_main

_ID = "[0-9a-f]{8}"
#: Neon's longest end: how long a restore point may live that has none.
_KEPT = timedelta(days=30)


class _Branches(Kind):
    """Branches whose names fit a pattern; the annotation says whose they are, else the name."""

    pattern: ClassVar[re.Pattern[str]]
    sized = True

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find."""
        for branch in self._world.branches(preview):
            if self._is_ours(branch):
                thing = self._thing(branch)
                if preview is None or thing.owner == preview.id:
                    yield thing

    def _is_ours(self, branch: Branch) -> bool:
        return self.pattern.fullmatch(branch.name) is not None

    def _thing(self, branch: Branch) -> Thing:
        return Thing(
            kind=self.name,
            name=branch.name,
            key=branch.id,
            owner=branch.annotations.get("preview-id") or owner_in(branch.name),
            store=branch.annotations.get("preview-store", ""),
            created_at=branch.created_at,
            size_bytes=branch.logical_size,
            compute_seconds=float(branch.extra.get("compute_time_seconds") or 0),
            note=f"Neon ends it at {branch.expires_at:%Y-%m-%d %H:%M}" if branch.expires_at else "",
        )

    def remove(self, thing: Thing) -> None:
        """See Kind.remove.

        Raises:
            StepFailed: it is main or protected, or a branch that somebody else gave such a name.
        """
        project = self._world.project
        with translating(f"deleting branch {thing.name}"):
            branch = next((each for each in self._world.branches(None) if each.id == thing.key), None)
            if branch is None:
                return
            # A tool that trusted a name has deleted what it should not have (DESIGN, rule 2).
            if "preview-id" not in branch.annotations and not self._descends(branch):
                raise StepFailed(
                    f"branch {branch.name} ({branch.id}) is not a child of {project.main.name} "
                    f"({project.main.id}); it will not be touched",
                    hint="rename that branch in Neon, or use another preview name",
                )
            project.neon.delete_branch(project.id, branch.id)
        self._world.look_anew()

    def _descends(self, branch: Branch) -> bool:
        """Whether it is a child of main, or of a branch that is and is a preview's."""
        main = self._world.project.main.id
        by_id = {each.id: each for each in self._world.branches(None)}
        parent = by_id.get(branch.parent_id or "")
        if parent is None or branch.id == main:
            return False
        return parent.id == main or (
            parent.parent_id == main and PreviewBranch.pattern.fullmatch(parent.name) is not None
        )


class GoalBranch(_Branches):
    """See says."""

    name = "goal branch"
    says = "where a migration command makes the goal"
    made_in = ("orchestrator.steps.commanded:Commanded.wanted",)
    passing = True
    pattern = re.compile(rf"preview/.+-{_ID}-goal")


class WayBackBranch(_Branches):
    """See says."""

    name = "way-back branch"
    says = "where the way back is tried"
    made_in = ("orchestrator.steps.way_back:WayBack._applied",)
    passing = True
    pattern = re.compile(rf"preview/.+-{_ID}-back")


class UntouchedBranch(_Branches):
    """See says."""

    name = "untouched branch"
    says = "a copy of main to compare queries with"
    made_in = ("orchestrator.steps.workload:Workload._untouched",)
    passing = True
    pattern = re.compile(rf"preview/.+-{_ID}-untouched")


class TrialBranch(_Branches):
    """See says."""

    name = "trial branch"
    says = "where versions of the app are tried"
    made_in = ("orchestrator.steps.ground:Ground._made",)
    passing = True
    pattern = re.compile(rf"check/.+-{_ID}(-new)?")


class PreviewBranch(_Branches):
    """See says."""

    name = "branch"
    says = "the preview's database, with its endpoint and its roles"
    made_in = ("orchestrator.steps.branch:BranchStep.run",)
    pattern = re.compile(rf"preview/.+-{_ID}")


class DiscardedBranch(_Branches):
    """See says."""

    name = "discarded branch"
    says = "a discarded preview's database, kept so that it can be restored"
    made_in = ()  # a preview's branch under another name
    lasts = True
    pattern = re.compile(rf"discarded/.+-{_ID}")

    def _thing(self, branch: Branch) -> Thing:
        return replace(super()._thing(branch), until=branch.expires_at)


class RestorePoint(_Branches):
    """See says."""

    name = "restore point"
    says = "main as it was before a promotion, or before it was restored"
    made_in = (
        "orchestrator.steps.restore_point:RestorePoints.make",
        "orchestrator.steps.to_restore_point:RestorePointWay._run",
    )
    lasts = True
    pattern = re.compile(rf"restore/.+-{_ID}-{_ID}(?:-before)?")

    def _is_ours(self, branch: Branch) -> bool:
        """Anybody may name a branch of main like that: only what carries our mark, or what main was, is ours."""
        marked = "preview-promotion" in branch.annotations or is_former_main(branch.name)
        return marked and super()._is_ours(branch)

    def _thing(self, branch: Branch) -> Thing:
        # What main was before it was restored has children, so that Neon gives it no end.
        made = branch.created_at or datetime.now(UTC)
        return replace(super()._thing(branch), owner=None, until=branch.expires_at or made + _KEPT)

    def _descends(self, branch: Branch) -> bool:
        return super()._descends(branch) or "preview-promotion" in branch.annotations


class _Parts(Kind):
    """Things of a branch that Neon removes with it; one that is found without its branch is removed by itself."""

    part_of = PreviewBranch.name

    def _ours(self, preview: Preview | None) -> dict[str, Branch]:
        """The branches that previews made, by id."""
        return {
            each.id: each
            for each in self._world.branches(preview)
            if any(kind.pattern.fullmatch(each.name) for kind in BRANCHES)
        }

    def _thing(self, branch: Branch, name: str, key: str, note: str = "") -> Thing:
        return Thing(
            kind=self.name,
            name=f"{name} of {branch.name}",
            key=key,
            owner=branch.annotations.get("preview-id") or owner_in(branch.name),
            store=branch.annotations.get("preview-store", ""),
            note=note,
        )


class Endpoint(_Parts):
    """See says."""

    name = "endpoint"
    says = "a branch's compute"
    made_in = ("orchestrator.healing:Healing._heal",)  # others come with their branch

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find."""
        if not (ours := self._ours(preview)):
            return
        project = self._world.project
        with translating("looking for endpoints"):
            endpoints = project.neon.endpoints(project.id)
        for each in endpoints:
            if branch := ours.get(each.branch_id):
                yield self._thing(branch, each.id, each.id, each.current_state)

    def remove(self, thing: Thing) -> None:
        """See Kind.remove."""
        with translating(f"deleting endpoint {thing.name}"):
            self._world.project.neon.delete_endpoint(self._world.project.id, thing.key)


class Role(_Parts):
    """See says."""

    name = "role"
    says = "a login of a branch, with a password of the branch's own"

    def find(self, preview: Preview | None) -> Iterable[Thing]:
        """See Kind.find."""
        project = self._world.project
        for branch in self._ours(preview).values():
            with translating(f"looking for the roles of {branch.name}"):
                roles = project.neon.roles(project.id, branch.id)
            for role in roles:
                yield self._thing(branch, role.name, f"{branch.id}/{role.name}")

    def remove(self, thing: Thing) -> None:
        """See Kind.remove."""
        branch, _, role = thing.key.partition("/")
        with translating(f"deleting role {thing.name}"):
            self._world.project.neon.delete_role(self._world.project.id, branch, role)


#: Children before the branch that they hang on: Neon deletes no branch that has any.
BRANCHES = (GoalBranch, WayBackBranch, UntouchedBranch, TrialBranch, PreviewBranch)
