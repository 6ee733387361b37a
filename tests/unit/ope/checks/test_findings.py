"""The worst finding speaks for all, and each can be found by its code."""

from __future__ import annotations

from nurture_rl.ope.checks.findings import Finding, LogChecks, Severity, graded


def finding(code: str, severity: Severity) -> Finding:
    return Finding(code, severity, {}, "a sentence")


def test_the_worst_finding_is_the_severity_of_all() -> None:
    ok, warn = finding("a", Severity.OK), finding("b", Severity.WARN)
    refuse = finding("c", Severity.REFUSE)
    assert LogChecks(()).severity is Severity.OK
    assert LogChecks((ok,)).severity is Severity.OK
    assert LogChecks((ok, warn)).severity is Severity.WARN
    assert LogChecks((refuse, ok, warn)).severity is Severity.REFUSE


def test_findings_are_picked_by_severity() -> None:
    checks = LogChecks((finding("a", Severity.OK), finding("b", Severity.WARN)))
    assert [one.code for one in checks.of(Severity.WARN)] == ["b"]


def test_a_check_is_graded_by_whether_it_failed() -> None:
    assert graded(True, Severity.WARN) is Severity.WARN
    assert graded(False, Severity.REFUSE) is Severity.OK
