"""The Neon API's verbs: projects, endpoints, roles, databases, operations. Knows nothing of ours.

Every mutation waits until its operations ended, takes its project's turn, and may be run twice: names are
looked up before a lost creation is repeated, and what is gone counts as deleted.
"""

from collections.abc import Mapping
from typing import Any

from neon_client.calls import given, operations_of
from neon_client.finding import found_project
from neon_client.models import (
    Branch,
    ConnectionURI,
    CreatedProject,
    Database,
    Endpoint,
    Operation,
    Project,
    Role,
    Secret,
)
from neon_client.points import Points
from neon_client.wire import Answer, Params, parsed, path


class NeonClient(Points):
    """A client of the Neon API v2; a context manager that closes its connections.

    Args:
        api_key: the key; never shown.
        base_url: the API's address with its version, e.g. ``http://127.0.0.1:20001/api/v2``.
        timeout_seconds: for connecting, writing and reading, each.
        transport: httpx transport, for tests.
        retry_budget_seconds: time that one request may lose to a busy server; twice that to a locked project.
        poll_seconds: longest pause between two looks at an operation; 1 s, or 0.1 s on this machine.
    """

    # Account

    def auth(self) -> str:
        """How the key is accepted, e.g. ``api_key_user`` or ``api_key_org``. Raises Unauthorized."""
        body = self._wire.get("/auth").body
        method: str = parsed("GET /auth", lambda: str(body["auth_method"]))
        return method

    # Projects

    def projects(self, search: str | None = None) -> tuple[Project, ...]:
        """All projects that the key sees; ``search`` matches a part of name or id."""
        return tuple(self._pages("/projects", "projects", Project.from_json, search=search))

    def project(self, project_id: str) -> Project:
        """One project. Raises NotFound."""
        return self._one(path("projects", project_id), "project", Project.from_json)

    def create_project(
        self,
        *,
        name: str,
        pg_version: int | None = None,
        branch_name: str | None = None,
        database_name: str | None = None,
        role_name: str | None = None,
    ) -> CreatedProject:
        """Create a project with its default branch, role and database; waits for it.

        Names of projects are not unique on Neon: look with `projects` first. A lost answer is looked up by
        the name among projects that were not there before.
        """
        branch = {"name": branch_name, "database_name": database_name, "role_name": role_name}
        wanted = {"name": name, "pg_version": pg_version, "branch": given(branch)}
        before = {project.id for project in self.projects(search=name)}

        def find() -> CreatedProject | None:
            new = [each for each in self.projects(search=name) if each.name == name and each.id not in before]
            return found_project(self, new[0]) if len(new) == 1 else None

        def send() -> CreatedProject:
            answer = self._wire.send("POST", "/projects", json={"project": given(wanted)})
            created = self._created_project(answer)
            self.wait(created.project.id, created.operations)
            return created

        return self._create(send, find)

    def delete_project(self, project_id: str) -> None:
        """Delete a project with all its branches; gone is fine."""
        self._delete(project_id, path("projects", project_id))

    # Endpoints

    def create_endpoint(
        self, project_id: str, branch_id: str, *, settings: Mapping[str, Any] | None = None
    ) -> Endpoint:
        """Give a branch a read-write endpoint; when it has one already, that one is the answer."""
        where = path("projects", project_id, "endpoints")
        wanted = {
            "branch_id": branch_id,
            "type": "read_write",
            "settings": dict(settings) if settings else None,
        }

        def find() -> Endpoint | None:
            with_write = (each for each in self.endpoints(project_id, branch_id) if each.type == "read_write")
            return next(with_write, None)

        def send() -> Endpoint:
            answer = self._wire.send("POST", where, json={"endpoint": given(wanted)})
            self.wait(project_id, operations_of(answer))
            made: Endpoint = parsed(f"POST {where}", lambda: Endpoint.from_json(answer.body["endpoint"]))
            return made

        with self._wire.turn(project_id):
            return find() or self._create(send, find)

    def update_endpoint(
        self, project_id: str, endpoint_id: str, *, settings: Mapping[str, Any] | None = None
    ) -> Endpoint:
        """Change an endpoint's settings; its compute may restart, which ends its connections."""
        wanted = given({"settings": dict(settings) if settings is not None else None})
        return self._endpoint_verb(project_id, endpoint_id, "PATCH", (), {"endpoint": wanted})

    def start_endpoint(self, project_id: str, endpoint_id: str) -> Endpoint:
        """Start the compute; running already is fine."""
        return self._endpoint_verb(project_id, endpoint_id, "POST", ("start",), None)

    def suspend_endpoint(self, project_id: str, endpoint_id: str) -> Endpoint:
        """Suspend the compute; suspended already is fine."""
        return self._endpoint_verb(project_id, endpoint_id, "POST", ("suspend",), None)

    def delete_endpoint(self, project_id: str, endpoint_id: str) -> None:
        """Delete an endpoint, not its branch; gone is fine."""
        self._delete(project_id, path("projects", project_id, "endpoints", endpoint_id))

    # Roles and databases

    def roles(self, project_id: str, branch_id: str) -> tuple[Role, ...]:
        """The branch's roles, without passwords."""
        return self._list(
            path("projects", project_id, "branches", branch_id, "roles"), "roles", Role.from_json
        )

    def create_role(self, project_id: str, branch_id: str, name: str) -> Role:
        """Create a login role with a new password. Raises Conflict when it exists."""
        where = path("projects", project_id, "branches", branch_id, "roles")

        def find() -> Role | None:
            if not any(each.name == name for each in self.roles(project_id, branch_id)):
                return None
            return Role(
                name=name, branch_id=branch_id, password=self.reveal_password(project_id, branch_id, name)
            )

        return self._create_on(project_id, where, {"name": name}, key="role", make=Role.from_json, find=find)

    def delete_role(self, project_id: str, branch_id: str, role: str) -> None:
        """Delete a role of one branch; gone is fine."""
        self._delete(project_id, path("projects", project_id, "branches", branch_id, "roles", role))

    def reset_password(self, project_id: str, branch_id: str, role: str) -> Secret:
        """Give the role a new password on this branch only; waits until the old one is refused."""
        where = path("projects", project_id, "branches", branch_id, "roles", role, "reset_password")
        answer = self._change(project_id, "POST", where, None)
        return Secret(parsed(f"POST {where}", lambda: answer.body["role"]["password"]))

    def reveal_password(self, project_id: str, branch_id: str, role: str) -> Secret:
        """The role's password on this branch. Raises ApiError 412 when the project does not store passwords."""
        where = path("projects", project_id, "branches", branch_id, "roles", role, "reveal_password")
        answer = self._wire.get(where)
        return Secret(parsed(f"GET {where}", lambda: answer.body["password"]))

    def databases(self, project_id: str, branch_id: str) -> tuple[Database, ...]:
        """The branch's databases."""
        where = path("projects", project_id, "branches", branch_id, "databases")
        return self._list(where, "databases", Database.from_json)

    def create_database(self, project_id: str, branch_id: str, name: str, *, owner: str) -> Database:
        """Create a database owned by a role. Raises Conflict when it exists."""
        where = path("projects", project_id, "branches", branch_id, "databases")

        def find() -> Database | None:
            return next((each for each in self.databases(project_id, branch_id) if each.name == name), None)

        wanted = {"name": name, "owner_name": owner}
        return self._create_on(project_id, where, wanted, key="database", make=Database.from_json, find=find)

    def connection_uri(
        self, project_id: str, *, branch_id: str, database: str, role: str, pooled: bool = False
    ) -> ConnectionURI:
        """How to connect; direct unless ``pooled``. Migrations, advisory locks and dumps need the direct one."""
        where = path("projects", project_id, "connection_uri")
        params: Params = {
            "branch_id": branch_id,
            "database_name": database,
            "role_name": role,
            "pooled": pooled,
        }
        body = self._wire.get(where, params).body
        uri: ConnectionURI = parsed(f"GET {where}", lambda: ConnectionURI(body["uri"]))
        return uri

    # Operations

    def operations(self, project_id: str) -> tuple[Operation, ...]:
        """The project's operations, newest first; Neon's list may lag behind."""
        where = path("projects", project_id, "operations")
        return tuple(self._pages(where, "operations", Operation.from_json))

    @staticmethod
    def _created_project(answer: Answer) -> CreatedProject:
        body = answer.body
        created: CreatedProject = parsed(
            "POST /projects",
            lambda: CreatedProject(
                project=Project.from_json(body["project"]),
                branch=Branch.from_json(body["branch"]),
                endpoints=tuple(Endpoint.from_json(each) for each in body.get("endpoints") or ()),
                roles=tuple(Role.from_json(each) for each in body.get("roles") or ()),
                databases=tuple(Database.from_json(each) for each in body.get("databases") or ()),
                connection_uris=tuple(
                    ConnectionURI(each["connection_uri"]) for each in body.get("connection_uris") or ()
                ),
                operations=operations_of(answer),
            ),
        )
        return created
