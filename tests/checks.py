"""What checks found, by code."""

from __future__ import annotations

from nurture_rl.ope.checks.findings import Finding, LogChecks


def finding_of(checks: LogChecks, code: str) -> Finding | None:
    """The finding with that code, None where the check did not apply."""
    return next((finding for finding in checks.findings if finding.code == code), None)
