"""The Neon API's verbs of branches: create, find, change, delete, the guard before DDL. Knows nothing of ours."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from neon_client.calls import PAGE, Calls, branch_of, branches_of, given, operations_of
from neon_client.errors import NeonError, NotDisposable, NotFound
from neon_client.finding import found_branch, naming_what_to_discard
from neon_client.models import Branch, CreatedBranch, Endpoint, Operation
from neon_client.wire import Params, parsed, path

#: Annotation that says which request made a branch, so that a lost answer can be told from a name that was taken.
REQUEST_ANNOTATION: Final = "preview-request"


class Branches(Calls):
    """The part of the client that knows branches; see `neon_client.client.NeonClient`."""

    def branches(self, project_id: str, search: str | None = None) -> tuple[Branch, ...]:
        """All branches, with their annotations; ``search`` matches a part of the name."""
        where, found = path("projects", project_id, "branches"), dict[str, Branch]()
        cursor: str | None = None
        while True:
            params: Params = {"limit": PAGE, "cursor": cursor, "search": search}
            body = self._wire.get(where, params).body
            page = branches_of(f"GET {where}", body)
            new = [branch for branch in page if branch.id not in found]
            found.update({branch.id: branch for branch in new})
            cursor = (body.get("pagination") or {}).get("next")
            if not new or not cursor:
                return tuple(found.values())

    def branch(self, project_id: str, branch_id: str) -> Branch:
        """One branch. Raises NotFound."""
        where = path("projects", project_id, "branches", branch_id)
        body = self._wire.get(where).body
        return branch_of(f"GET {where}", body)

    def default_branch(self, project_id: str) -> Branch:
        """Main: the branch with ``default: true``, whatever its name. Raises NeonError when there is none."""
        for branch in self.branches(project_id):
            if branch.default:
                return branch
        raise NeonError(f"project {project_id} has no default branch", hint="choose one in Neon's console")

    def find_branch(self, project_id: str, name: str) -> Branch | None:
        """The branch of exactly this name, or None."""
        return next((each for each in self.branches(project_id, search=name) if each.name == name), None)

    def create_branch(
        self,
        project_id: str,
        *,
        name: str,
        parent_id: str,
        endpoint_settings: Mapping[str, Any] | None = None,
        annotations: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
        lsn: str | None = None,
        timestamp: datetime | None = None,
        schema_only: bool = False,
        with_compute: bool = True,
    ) -> CreatedBranch:
        """Create a branch with a read-write endpoint from its parent; waits until it is ready.

        The child has its parent's roles and passwords: rotate them before anybody sees its URL.

        Args:
            project_id: the project.
            name: unique in the project.
            parent_id: id (never a name) of the branch to copy.
            endpoint_settings: the endpoint's ``settings``, e.g. ``{"pg_settings": {...}}``.
            annotations: labels to find it by; Neon takes them at creation only.
            expires_at: aware time at which Neon deletes it, at most 30 days ahead.
            lsn: copy the parent as it was here, e.g. ``0/1DE2850``; the head when neither this nor a time is given.
            timestamp: aware time to copy the parent as of; points need a root branch and its restore window.
            schema_only: no rows; the branch is a root then, and counts against a smaller quota.
            with_compute: with an endpoint; without one nobody can connect yet.

        Raises:
            Conflict: the name is taken by a branch that this call did not make.
            QuotaExceeded: the plan allows no more branches.
            ApiError: 400 for a point outside of the restore window.
        """
        request_id = str(uuid.uuid4())
        endpoint = {"type": "read_write", "settings": dict(endpoint_settings) if endpoint_settings else None}
        branch = {
            "name": name,
            "parent_id": parent_id,
            "parent_lsn": lsn,
            "parent_timestamp": written(timestamp),
            "init_source": "schema-only" if schema_only else None,
            "expires_at": expires_at.isoformat(timespec="seconds") if expires_at else None,
        }
        wanted = {
            "branch": given(branch),
            "endpoints": [given(endpoint)] if with_compute else [],
            "annotation_value": {**(annotations or {}), REQUEST_ANNOTATION: request_id},
        }
        where = path("projects", project_id, "branches")

        def find() -> CreatedBranch | None:
            branch = self.find_branch(project_id, name)
            if branch is None or branch.annotations.get(REQUEST_ANNOTATION) != request_id:
                return None
            return found_branch(self, project_id, branch.id)

        def send() -> CreatedBranch:
            answer = self._wire.send("POST", where, json=wanted, request_id=request_id)
            branch = branch_of(f"POST {where}", answer.body)
            return self._ready(project_id, branch.id, operations_of(answer))

        with self._wire.turn(project_id), naming_what_to_discard(self, project_id):
            return self._create(send, find)

    def update_branch(
        self,
        project_id: str,
        branch_id: str,
        *,
        name: str | None = None,
        protected: bool | None = None,
        expires_at: datetime | None = None,
        never_expires: bool = False,
    ) -> Branch:
        """Change name, protection or expiry; None leaves a thing as it is, ``never_expires`` clears the expiry."""
        expiry = expires_at.isoformat(timespec="seconds") if expires_at else None
        wanted = given({"name": name, "protected": protected, "expires_at": expiry})
        if never_expires:
            wanted["expires_at"] = None
        self._change(
            project_id, "PATCH", path("projects", project_id, "branches", branch_id), {"branch": wanted}
        )
        return self.branch(project_id, branch_id)

    def branch_count(self, project_id: str, search: str | None = None) -> int:
        """How many branches there are; ``search`` matches a part of the name."""
        where = path("projects", project_id, "branches", "count")
        body = self._wire.get(where, {"search": search}).body
        return int(parsed(f"GET {where}", lambda: body["count"]))

    def set_as_default(self, project_id: str, branch_id: str) -> Branch:
        """Make the branch main, the project's default; the former one becomes disposable. Being it is fine."""
        where = path("projects", project_id, "branches", branch_id, "set_as_default")
        self._change(project_id, "POST", where, None)
        return self.branch(project_id, branch_id)

    def delete_branch(self, project_id: str, branch_id: str) -> None:
        """Delete a disposable branch and its endpoints; waits; gone is fine.

        Raises:
            NotDisposable: it is the default branch, or protected.
        """
        try:
            self.assert_disposable(project_id, branch_id)
        except NotFound:
            return
        self._delete(project_id, path("projects", project_id, "branches", branch_id))

    def assert_disposable(self, project_id: str, branch_id: str) -> Branch:
        """Fetch the branch and make sure that it is neither the default nor protected; call before any DDL.

        Raises:
            NotDisposable: it is.
            NotFound: there is no such branch.
        """
        branch = self.branch(project_id, branch_id)
        if branch.default or branch.protected:
            kind = "the project's default branch" if branch.default else "protected"
            raise NotDisposable(
                f"branch {branch.name!r} ({branch.id}) of project {project_id} is {kind}; nothing was changed",
                hint="a preview works on a branch of its own; check which branch is meant",
            )
        return branch

    def endpoints(self, project_id: str, branch_id: str | None = None) -> tuple[Endpoint, ...]:
        """All endpoints of the project, or of one branch."""
        where = path("projects", project_id, *(("branches", branch_id) if branch_id else ()), "endpoints")
        return self._list(where, "endpoints", Endpoint.from_json)

    def _ready(self, project_id: str, branch_id: str, operations: Sequence[Operation]) -> CreatedBranch:
        done = self.wait(project_id, operations)
        return CreatedBranch(
            branch=self.branch(project_id, branch_id),
            endpoints=self.endpoints(project_id, branch_id),
            operations=done,
        )


def written(moment: datetime | None) -> str | None:
    """A moment as Neon reads it, as exact as it is. Raises ValueError for a time without a zone."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("a point in time needs a zone")
    return moment.isoformat()
