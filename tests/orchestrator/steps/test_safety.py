"""No variable of a preview names production, and a scrub's files hold what one transaction allows."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.checks.report import Severity
from orchestrator.errors import Refused, SettingsError
from orchestrator.steps.safety import _statements, refuse_production, scan

NAMES = ("ep-quiet-sun-123456", "127.0.0.1:5499", "shop.example.com")


def test_production_is_found_however_it_is_written() -> None:
    environment = {
        "POOLED": "postgresql://u:p@ep-quiet-sun-123456-pooler.eu.neon.tech/shop",
        "UPPER": "EP-QUIET-SUN-123456.eu.neon.tech",
        "LOCAL": "postgres://127.0.0.1:5499/shop",
        "HOOK": "https://shop.example.com/hooks",
        "OTHER": "https://other-shop.example.com, 127.0.0.1:54990, ep-quiet-sun-1234567",
        "PLAIN": "x",
    }
    found = scan(environment, NAMES, allowed=["HOOK"])

    assert {finding.subject: finding.severity for finding in found} == {
        "UPPER": Severity.BLOCKED,
        "LOCAL": Severity.BLOCKED,
        "HOOK": Severity.ATTENTION,
        "POOLED": Severity.BLOCKED,
    }
    assert all(value not in str(found) for value in environment.values() if len(value) > 1)
    with pytest.raises(
        Refused, match="LOCAL: the preview's environment names a machine of production"
    ) as refused:
        refuse_production(found)
    assert 'safety.production_allowed = ["LOCAL"]' in refused.value.hint
    refuse_production(scan(environment, NAMES, allowed=environment))


@given(st.text(), st.text(alphabet="/@:?&= ,;", min_size=1, max_size=2), st.sampled_from(NAMES))
def test_a_name_between_separators_is_always_found(before: str, separator: str, name: str) -> None:
    assert scan({"X": f"{before}{separator}{name}{separator}"}, NAMES)


def test_a_scrub_controls_no_transaction_and_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "scrub.sql"
    file.write_text("update a set b = 'x; y';\n\ndelete from c;")
    assert [(piece.line, piece.sql) for piece in _statements("scrub.sql", file)] == [
        (1, "update a set b = 'x; y'"),
        (3, "delete from c"),
    ]
    file.write_text("update a set b = 1;\ncommit;")
    with pytest.raises(SettingsError, match=r"scrub\.sql, line 2: COMMIT has no place here"):
        _statements("scrub.sql", file)
    with pytest.raises(SettingsError, match=r"missing\.sql cannot be read"):
        _statements("missing.sql", tmp_path / "missing.sql")
