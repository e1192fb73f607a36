"""What the settings say about findings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.checks.policy import Policy, idle_rules, judged
from orchestrator.checks.report import Finding, Report, Severity


def a_finding(severity: Severity, subject: str = "public.orders", check: str = "rows") -> Finding:
    return Finding(check=check, severity=severity, subject=subject, message="seen")


def test_an_ignored_finding_stays_in_the_report_with_its_reason() -> None:
    report = Report(findings=(a_finding(Severity.BLOCKED), a_finding(Severity.OK, "plan")))
    after = judged(report, Policy(ignore=(("rows:public.*", "we truncate it every night"),)))

    assert report.verdict == "blocked"
    assert after.verdict == "ok"
    assert after.to_json()["findings"][0]["ignored"] == "we truncate it every night"
    assert Report.from_json(after.to_json()) == after
    assert after.digest != report.digest


@pytest.mark.parametrize("severity", [Severity.ATTENTION, Severity.NOT_LOOKED_AT])
def test_a_rule_can_block_what_was_mild(severity: Severity) -> None:
    after = judged(Report(findings=(a_finding(severity),)), Policy(block=("rows:*",)))
    assert after.verdict == "blocked"
    assert "report.block says 'rows:*'; it was" in after.findings[0].judged
    assert after.reasons == ("public.orders: seen",)


def test_a_rule_can_soften_what_blocks_but_never_what_is_well() -> None:
    policy = Policy(warn=("rows:*",), block=("fine:*",))
    after = judged(
        Report(findings=(a_finding(Severity.BLOCKED), a_finding(Severity.OK, check="fine"))), policy
    )
    assert [each.severity for each in after.findings] == [Severity.ATTENTION, Severity.OK]


def test_rules_that_fit_nothing_are_named() -> None:
    policy = Policy(warn=("rowz:*",), block=("rows:public.orders",))
    assert idle_rules(Report(findings=(a_finding(Severity.OK),)), policy) == ("rowz:*",)


@given(st.lists(st.sampled_from(list(Severity)), max_size=6))
def test_without_rules_nothing_changes(severities: list[Severity]) -> None:
    report = Report(findings=tuple(a_finding(each) for each in severities))
    assert judged(report, Policy()) == report
