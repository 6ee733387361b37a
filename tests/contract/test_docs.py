"""The front page names what can be run, and no tracked file names a machine or a registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.contract.source_tree import ROOT

TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
# Written in pieces, so that this file does not break its own rule.
HOSTS = [
    "pypi." + "org",
    "pythonhosted." + "org",
    "download.pytorch." + "org",
    "conda." + "anaconda",
]
FORBIDDEN = re.compile(
    r"(?<![\w.\-*])/(?:"
    + "work|root|farm"
    + r")/|/(?:home|Users)/\w|"
    + "|".join(map(re.escape, HOSTS))
)


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", TARGETS)
def test_the_readme_names_every_make_target(target: str) -> None:
    assert f"make {target}" in readme()


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git checkout: there is no list of tracked files")
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def lost_links(page: Path) -> list[str]:
    """Links of a page to files that are not there."""
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    return [target for target in local if not (page.parent / target).exists()]


def test_links_between_pages_lead_somewhere() -> None:
    pages = [path for path in tracked_files() if path.suffix == ".md"]
    lost = {str(page.relative_to(ROOT)): lost_links(page) for page in pages}
    assert {page: targets for page, targets in lost.items() if targets} == {}


def test_a_link_to_nowhere_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("[a](a.md#x) ![b](b.png) [c](https://c.org)", encoding="utf-8")
    assert lost_links(page) == ["b.png"]


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        hits = (f"{path.relative_to(ROOT)}: {hit.group()}" for hit in FORBIDDEN.finditer(text))
        found += list(hits)
    assert found == []


@pytest.mark.parametrize("text", ["/wo" + "rk/main/x", "see https://pypi" + ".org/simple"])
def test_the_rule_sees_what_it_forbids(text: str) -> None:
    assert FORBIDDEN.search(text)


@pytest.mark.parametrize("text", ["the net/work/flow", "homework/", "./work/", "pypi"])
def test_the_rule_lets_ordinary_words_pass(text: str) -> None:
    assert not FORBIDDEN.search(text)
