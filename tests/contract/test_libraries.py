"""Neon's own JavaScript client and the PyPI client, unchanged, against a fresh embedded server."""

import json

from .conftest import CLIENTS, Client


def test_the_api_client_of_npm(node_script: Client) -> None:
    seen = json.loads(node_script.run(str(CLIENTS / "api_client.cjs")).stdout)
    assert seen == {
        "login": "embedded",
        "projects": ["node"],
        "uris": 1,
        "operations": ["create_branch finished", "start_compute finished"],
        "branches": ["preview/node"],
        "annotation": {"owner": "node"},
        "count": 2,
        "endpoints": 1,
        "password": True,
        "renamed": "pr",
        "conflict": [409, "BRANCH_ALREADY_EXISTS"],
        "deleted": 200,
        "again": 204,
    }


def test_the_neon_api_of_pypi(foreign_python: Client) -> None:
    seen = json.loads(foreign_python.run(str(CLIENTS / "neon_api_calls.py")).stdout)
    assert seen == {
        "login": "embedded",
        "projects": ["python"],
        "shared": [],
        "parent": True,
        "updated": "renamed",
        "databases": ["neondb"],
        "database": "neondb_owner",
        "renamed": "third",
        "role": True,
        "roles": ["app", "neondb_owner"],
        "revealed": True,
        "reset": "app",
        "suspended": "idle",
        "started": "active",
        "uri False": "postgresql",
        "uri True": "postgresql",
        "operation": "finished",
        "default": True,
        "again": "204, which this client cannot read",
        "gone": True,
    }
