"""The API fuzzed from its own OpenAPI document: no 500, and no secret in any answer."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings

from orchestrator.api.app import make_app
from orchestrator.api.site import Site

#: Routes that ask Neon or Docker: what they answer without any is looked at elsewhere.
OUTSIDE = ("/parts", "/doctor", "/api/v1/settings")


@pytest.mark.parametrize("examples", [5, pytest.param(150, marks=pytest.mark.prove)])
def test_no_input_makes_a_fault_or_shows_a_secret(
    site: Site, token: Callable[..., str], examples: int
) -> None:
    app: FastAPI = make_app(site)
    whole = token("admin", "fuzz")
    site.rates.tokens.__init__(10**6)  # type: ignore[misc]
    site.rates.uploads.__init__(10**6)  # type: ignore[misc]
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    secrets = (site.uri, whole.rpartition("_")[2])
    seen: Counter[str] = Counter()

    def fuzz(operation: Any) -> None:
        @settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            answer = case.call(headers={"authorization": f"Bearer {whole}"})
            seen[f"{case.method} {case.path}"] += 1
            assert answer.status_code < 500 or answer.status_code == 502, (
                case.method,
                case.path,
                answer.text,
            )
            for secret in secrets:
                assert secret not in answer.text or (case.method, case.path) == ("POST", "/api/v1/tokens")

        ask()

    for result in schema.get_all_operations():
        operation = result.ok()
        if not operation.path.endswith(OUTSIDE):
            fuzz(operation)
    print(f"{len(seen)} operations, {seen.total()} requests")
    assert len(seen) > 25
