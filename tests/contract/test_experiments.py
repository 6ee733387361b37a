"""Every recorded experiment is a folder that says first what was found, then how it was made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.contract.source_tree import ROOT

SHARED = "common"  # what several experiments use
FOLDERS = sorted(
    path
    for path in (ROOT / "experiments").iterdir()
    if path.is_dir() and path.name != SHARED and any(path.glob("*.*"))
)


def record(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_record_says_the_result_first(folder: Path) -> None:
    headings = re.findall(r"^## (.+)$", record(folder), re.MULTILINE)
    assert headings == ["Result", "Made with", "How it works"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_record_says_what_it_was_made_with(folder: Path) -> None:
    made = record(folder).partition("## Made with")[2].partition("## How it works")[0]
    assert re.findall(r"^- ([A-Z][a-z ]+):", made, re.MULTILINE) == [
        "Recorded",
        "Commit",
        "Run time",
    ]
    modules = re.findall(r"python -m ([\w.]+)", made)
    files = [f"{name.replace('.', '/')}.py" for name in modules]
    files += re.findall(r"python (experiments/[\w/]+\.py)", made)
    assert files or re.search(r"^nurture \w+", made, re.MULTILINE)
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_the_list_of_experiments_names_each() -> None:
    listed = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in FOLDERS if f"({path.name}/README.md)" not in listed] == []
