"""What CONTRIBUTING.md tells people to touch is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from tests.contract.source_tree import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
TOP = ("configs", "docs", "envs", "nurture_rl", "tests", "tools")
FILES = sorted(set(re.findall(rf"`((?:{'|'.join(TOP)}|\.ci)/[^` ]*)`", TEXT)))
TEMPLATE = "NAME"  # stands for what is added
NAMES = sorted(
    set(re.findall(r"`([A-Z][A-Z_]+|_?[a-z]+_[a-z_]+|_learner|[A-Z]\w+)`", TEXT)) - {TEMPLATE}
)


def lost(files: list[str]) -> list[str]:
    """The named files and folders that are not there; of what is added, its folder."""
    places = [ROOT / (name.partition(TEMPLATE)[0] if TEMPLATE in name else name) for name in files]
    return [str(place.relative_to(ROOT)) for place in places if not place.exists()]


def defined_in(path: Path) -> set[str]:
    """Names that a module defines, inside classes and functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_every_file_that_the_recipes_name_is_there() -> None:
    assert len(FILES) > 30
    assert lost(FILES) == []


def test_a_file_that_is_not_there_is_seen() -> None:
    assert lost(["nurture_rl/gone.py", "configs/gone/NAME.yaml", "configs/policy/NAME.yaml"]) == [
        "nurture_rl/gone.py",
        "configs/gone",
    ]


def test_every_name_of_the_recipes_is_defined_in_a_file_that_they_name() -> None:
    modules = [ROOT / name for name in FILES if name.endswith(".py") and TEMPLATE not in name]
    modules += [ROOT / "nurture_rl/ope/log.py", ROOT / "nurture_rl/ope/estimators.py"]
    modules += [ROOT / "nurture_rl/workflow/training.py"]
    known = set().union(*(defined_in(path) for path in modules))
    assert "LEARNERS" in NAMES
    assert [name for name in NAMES if name not in known] == []


@pytest.mark.parametrize("target", ["lint", "quick", "test", "mutants", "docs"])
def test_the_commands_are_targets_of_make(target: str) -> None:
    assert f"make {target}" in TEXT
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def test_hooks_run_what_is_installed_and_fetch_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [one["repo"] for one in hooks] == ["local"]
    assert {hook["language"] for hook in hooks[0]["hooks"]} == {"system"}
    asked = " ".join(hook["entry"] for hook in hooks[0]["hooks"])
    for tool in ("ruff check", "ruff format", "mypy"):
        assert f"-m {tool}" in asked
