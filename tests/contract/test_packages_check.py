"""The gate of the locked packages sees licences and flaws, and says what it could not look up."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.contract.source_tree import ROOT

LOCKED = {"ours": "1.0", "theirs": "2.0"}
POLICY: dict[str, Any] = {
    "allowed": ["MIT", "BSD-3-Clause"],
    "spellings": {"MIT License": "MIT"},
    "exceptions": {"theirs": {"licence": "MPL-2.0", "why": "tests alone"}},
    "advisories": {"GHSA-1": {"package": "theirs", "why": "not called"}},
}


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("packages_check", ROOT / ".ci/packages_check.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "locked", lambda: LOCKED)
    return module


def about(**headers: str) -> Message:
    made = Message()
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    return made


def test_a_licence_is_read_from_wherever_a_package_tells_it(check: ModuleType) -> None:
    given = {
        "MIT OR GPL-3.0": about(License_Expression="MIT OR GPL-3.0", License="other"),
        "MIT": about(Classifier="License :: OSI Approved :: MIT License", License="Copyright .."),
        "GPL": about(License="GPL"),
        "": about(Classifier="License :: OSI Approved"),
    }
    for wanted, metadata in given.items():
        assert check.licence_of(metadata, POLICY["spellings"]) == wanted
    assert (
        check.licence_of(about(License="MIT License\nfree of charge"), POLICY["spellings"]) == "MIT"
    )


def test_licences_that_are_not_allowed_are_named(check: ModuleType) -> None:
    allowed = {"ours": "MIT OR GPL-3.0", "theirs": "MPL-2.0"}
    assert check.unfit_licences(allowed, POLICY) == []
    for licence in ("GPL-3.0", "MIT AND GPL-3.0", ""):
        (wrong,) = check.unfit_licences({**allowed, "ours": licence}, POLICY)
        assert wrong.startswith(f"ours: licence {licence!r} is not allowed")
    (wrong,) = check.unfit_licences({**allowed, "theirs": "AGPL-3.0"}, POLICY)
    assert "says 'AGPL-3.0' now" in wrong
    assert check.unfit_licences({"ours": "MIT"}, POLICY) == [
        "theirs: is not locked any more; take its exception out"
    ]


def told(check: ModuleType, tmp_path: Path, audit: Any, log: str = "") -> list[str]:
    stem = tmp_path / "pypi"
    stem.with_suffix(".log").write_text(log)
    if audit is not None:
        stem.with_suffix(".json").write_text(json.dumps({"dependencies": audit}))
    found: list[str] = check._vulnerabilities([str(stem)], POLICY)
    return found


def flaw(name: str, alias: str) -> dict[str, Any]:
    vulns = [{"id": "PYSEC-1", "aliases": [alias], "fix_versions": ["2.1"], "description": ""}]
    return {"name": name, "version": "1.0", "vulns": vulns}


def test_a_known_flaw_is_named_with_the_version_that_mends_it(
    check: ModuleType, tmp_path: Path
) -> None:
    (wrong,) = told(check, tmp_path, [flaw("ours", "GHSA-1"), flaw("theirs", "GHSA-1")])
    assert wrong.startswith("ours 1.0: PYSEC-1, mended in 2.1; ")


def test_what_was_not_looked_up_is_said(
    check: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = [{"name": name, "skip_reason": "not found"} for name in LOCKED]
    assert told(check, tmp_path, skipped) == []  # pip-audit calls this "no known vulnerabilities"
    assert "NOT CHECKED: no advisory service tells of 2 packages: ours, theirs" in (
        capsys.readouterr().out
    )
    assert (
        told(check, tmp_path, [skipped[0], {"name": "theirs", "version": "2.0", "vulns": []}]) == []
    )
    assert "1 of 2 packages looked up" in capsys.readouterr().out


def test_a_service_that_is_away_is_said_and_a_broken_audit_fails(
    check: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = "Traceback ..\nrequests.exceptions.ProxyError: Max retries exceeded\n"
    assert told(check, tmp_path, None, away) == []
    assert "pypi could not be reached" in capsys.readouterr().out
    (wrong,) = told(check, tmp_path, None, "usage: pip-audit [-h]")
    assert wrong.startswith("pip-audit failed with pypi: usage")


def test_every_exception_has_its_reason(check: ModuleType) -> None:
    policy = tomllib.loads((ROOT / ".ci" / "packages.toml").read_text("utf-8"))
    reasons = [*policy["exceptions"].values(), *policy["advisories"].values()]
    assert reasons
    assert all(len(one["why"]) > 5 for one in reasons)
    assert (ROOT / ".ci" / "run").read_text("utf-8").count(".ci/packages-gate") == 1
