"""Licences and known vulnerabilities of the locked packages, held against packages.toml.

packages_check.py licences
packages_check.py vulnerabilities STEM..    STEM.json and STEM.log of pip-audit, for each service
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOCK = HERE.parent / "requirements" / "lock-py311.txt"
_NO_SERVICE = re.compile(r"^requests\.exceptions\.\w+: .*|.*ConnectionError.*", re.MULTILINE)


def licence_of(about: Any, spellings: Mapping[str, str]) -> str:
    """The SPDX expression that a package's metadata gives, or what it says instead; may be empty.

    Args:
        about: the metadata, as `importlib.metadata` reads it.
        spellings: SPDX id by other names of a licence.
    """
    if about["License-Expression"]:
        return str(about["License-Expression"])
    classes = [
        one.split(" :: ")[-1] for one in about.get_all("Classifier") or [] if "License ::" in one
    ]
    named = [
        spellings.get(one, one) for one in classes if one not in ("OSI Approved", "DFSG approved")
    ]
    if named:
        return " AND ".join(dict.fromkeys(named))
    text = str(about["License"] or "").strip().partition("\n")[0]  # some give all of it
    return spellings.get(text, text)


def fits(expression: str, allowed: Sequence[str]) -> bool:
    """Whether an SPDX expression without brackets can be met by allowed licences alone."""
    return any(
        all(part.strip() in allowed for part in choice.split(" AND "))
        for choice in expression.split(" OR ")
    )


def unfit_licences(found: Mapping[str, str], policy: Mapping[str, Any]) -> list[str]:
    """What is wrong with the licences of packages, a line each.

    Args:
        found: licence by package.
        policy: what packages.toml holds.
    """
    excepted = policy["exceptions"]
    wrong = []
    for name, licence in found.items():
        if name in excepted:
            if licence != excepted[name]["licence"]:
                wrong.append(
                    f"{name}: the exception is for {excepted[name]['licence']!r}, and it says "
                    f"{licence!r} now; look again"
                )
        elif not fits(licence, policy["allowed"]):
            wrong.append(
                f"{name}: licence {licence!r} is not allowed; replace the package, or add an "
                "exception with its reason to .ci/packages.toml"
            )
    gone = sorted(set(excepted) - set(found))
    return wrong + [f"{name}: is not locked any more; take its exception out" for name in gone]


def known_flaws(audits: Sequence[Mapping[str, Any]], policy: Mapping[str, Any]) -> list[str]:
    """Vulnerabilities that pip-audit found and packages.toml does not list, a line each."""
    listed, wrong = policy["advisories"], {}
    for package in (one for audit in audits for one in audit["dependencies"]):
        for flaw in package.get("vulns", ()):
            names = {flaw["id"], *flaw.get("aliases", ())}
            if not any(listed.get(name, {}).get("package") == package["name"] for name in names):
                mended = ", ".join(flaw["fix_versions"]) or "no version"
                wrong[package["name"], flaw["id"]] = (
                    f"{package['name']} {package['version']}: {flaw['id']}, mended in {mended}; "
                    "move the pin, or list it with a reason in .ci/packages.toml"
                )
    return list(wrong.values())


def unknown(audits: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Packages of which no service said anything."""
    told = {
        one["name"] for audit in audits for one in audit["dependencies"] if "skip_reason" not in one
    }
    return [name for name in names if name not in told]


def locked() -> dict[str, str]:
    """Version by package."""
    lines = LOCK.read_text("utf-8").split()
    return dict(tuple(line.split("==")) for line in lines)  # type: ignore[misc]


def _licences(policy: Mapping[str, Any]) -> list[str]:
    found, wrong = {}, []
    for name, version in locked().items():
        try:
            about = metadata(name)
        except PackageNotFoundError:
            wrong.append(f"{name}: locked and not installed; type make test first")
            continue
        if about["Version"].partition("+")[0] != version:
            wrong.append(f"{name}: {about['Version']} is installed, {version} is locked")
        found[name] = licence_of(about, policy["spellings"])
    wrong = wrong or unfit_licences(found, policy)
    if not wrong:
        print(f"licences: {len(found)} packages, {len(policy['exceptions'])} by an exception")
    return wrong


def _vulnerabilities(stems: Sequence[str], policy: Mapping[str, Any]) -> list[str]:
    audits, silent = [], []
    for stem in stems:
        result, log = Path(f"{stem}.json"), Path(f"{stem}.log").read_text("utf-8", "replace")
        if result.is_file():
            audits.append(json.loads(result.read_text("utf-8")))
        elif reason := _NO_SERVICE.findall(log):
            silent.append(f"{Path(stem).name} could not be reached ({reason[-1][:160]})")
        else:
            return [f"pip-audit failed with {Path(stem).name}: {log[-2000:]}"]
    names = list(locked())
    missed = unknown(audits, names)
    print(f"known vulnerabilities: {len(names) - len(missed)} of {len(names)} packages looked up")
    if missed:
        some = ", ".join(missed[:8])
        print(f"  NOT CHECKED: no advisory service tells of {len(missed)} packages: {some}, ..")
    for line in silent:
        print(f"  {line}")
    return known_flaws(audits, policy)


def main(what: str, *stems: str) -> int:
    """Print what is wrong; 1 if anything is."""
    policy = tomllib.loads((HERE / "packages.toml").read_text("utf-8"))
    wrong = _licences(policy) if what == "licences" else _vulnerabilities(stems, policy)
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
