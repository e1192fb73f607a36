"""PyPI neon-api, unchanged: a branch's life, with that client's ways (reference: section 5). Prints JSON."""

import json
import os
import sys
import time

from neon_api import NeonAPI
from neon_api.exceptions import NeonAPIError
from requests.exceptions import JSONDecodeError


def patiently(call, *arguments, **named):
    """This client does not repeat what Neon calls safe to repeat (423): a busy machine may lock for a while."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return call(*arguments, **named)
        except NeonAPIError as error:
            if "conflicting operations" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def settled():
    """An answer of Neon's comes before its operations ended; so does ours on a busy machine."""
    deadline = time.monotonic() + 60
    while any(value(each.status) in ("scheduling", "running") for each in api.operations(project).operations):
        if time.monotonic() > deadline:
            raise TimeoutError("operations do not end")
        time.sleep(0.1)


def value(member):
    return getattr(member, "value", member)


api = NeonAPI(os.environ["NEON_API_KEY"], base_url=os.environ["NEON_API_HOST"] + "/")  # the slash is required
seen: dict[str, object] = {"login": api.me().login}
made = patiently(api.project_create, project={"name": "python"})
project = made.project.id
main = api.branches(project).branches[0].id
seen["projects"] = [each.name for each in api.projects(limit=10).projects]
seen["shared"] = api.projects(shared=True).projects
created = patiently(
    api.branch_create, project, branch={"name": "py", "parent_id": main}, endpoints=[{"type": "read_write"}]
)
branch = created.branch.id
seen["parent"] = api.branch(project, branch).branch.parent_id == main
seen["updated"] = patiently(api.branch_update, project, branch, branch={"name": "renamed"}).branch.name
seen["databases"] = [each.name for each in api.databases(project, branch).databases]
patiently(api.database_create, project, branch, database={"name": "second", "owner_name": "neondb_owner"})
seen["database"] = api.database(project, branch, "second").database.owner_name
seen["renamed"] = patiently(
    api.database_update, project, branch, "second", database={"name": "third"}
).database.name
patiently(api.database_delete, project, branch, "third")
seen["role"] = bool(patiently(api.role_create, project, branch, "app").role.password)
seen["roles"] = sorted(each.name for each in api.roles(project, branch).roles)
seen["revealed"] = bool(api.role_password_reveal(project, branch, "app"))
seen["reset"] = patiently(api.role_password_reset, project, branch, "app").role.name
patiently(api.role_delete, project, branch, "app")
endpoint = api.endpoints(project).endpoints[-1].id
for name, change in (("suspended", api.endpoint_suspend), ("started", api.endpoint_start)):
    patiently(change, project, endpoint)
    settled()
    seen[name] = api.endpoint(project, endpoint).endpoint.current_state
for pooled in (False, True):  # sent as "False" and "True"
    uri = api.connection_uri(project, database_name="neondb", role_name="neondb_owner", pooled=pooled).uri
    seen[f"uri {pooled}"] = uri.partition("://")[0]
operation = api.operations(project).operations[0]
seen["operation"] = api.operation(project, operation.id).operation.status
seen["default"] = patiently(api.branch_set_as_primary, project, branch).branch.id == branch
patiently(api.branch_set_as_primary, project, main)
patiently(api.branch_delete, project, branch)
try:
    patiently(api.branch_delete, project, branch)
except JSONDecodeError:
    seen["again"] = "204, which this client cannot read"
try:
    api.branch(project, branch)
except NeonAPIError as error:
    seen["gone"] = json.loads(str(error))["message"].startswith("branch not found")
patiently(api.project_delete, project)
json.dump(seen, sys.stdout, default=value)
