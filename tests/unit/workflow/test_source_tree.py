"""Work is named by the code that it runs, and by no other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from nurture_rl.workflow.source_tree import SourceTree, installed_tree

FILES = {
    "__init__.py": "",
    "work.py": "from top.tools import sharpen\nimport numpy.linalg\n",
    "tools/__init__.py": "from .knife import sharpen\n",
    "tools/knife.py": "def sharpen():\n    from top import oil\n",
    "tools/saw.py": "",
    "oil.py": "from importlib import import_module\nimport_module('top.wells.deep')\n",
    "wells/__init__.py": "",
    "wells/deep.py": "",
    "wells/rope.css": "a {}",
    "talk.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from top.work import Any\nelse:\n    import top.oil\n"
    ),
}


def tree(folder: Path, changed: Mapping[str, str] | None = None) -> SourceTree:
    for name, text in {**FILES, **(changed or {})}.items():
        path = folder / "top" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return SourceTree({"top": folder / "top"})


def test_imports_are_followed_into_packages_functions_and_literal_names(tmp_path: Path) -> None:
    ours = {"top", "top.work", "top.tools", "top.tools.knife", "top.oil", "top.wells"}
    reached = tree(tmp_path).reached("top.work")
    assert reached == {*ours, "top.wells.deep", "numpy", "importlib"}


def test_what_the_type_checker_alone_imports_does_not_count(tmp_path: Path) -> None:
    reached = tree(tmp_path).reached("top.talk")
    assert "top.oil" in reached
    assert "top.work" not in reached


@pytest.mark.parametrize(
    "file, counts",
    [
        ("work.py", True),
        ("tools/__init__.py", True),
        ("tools/knife.py", True),
        ("wells/rope.css", True),
        ("tools/saw.py", False),
        ("talk.py", False),
    ],
)
def test_the_hash_follows_what_is_reached_and_nothing_else(
    tmp_path: Path, file: str, counts: bool
) -> None:
    before = tree(tmp_path).hash_of("top.work")
    after = tree(tmp_path, {file: FILES[file] + "\n# other\n"}).hash_of("top.work")
    assert (before != after) == counts


def test_work_written_elsewhere_depends_on_everything(tmp_path: Path) -> None:
    before = tree(tmp_path).hash_of("a_notebook")
    assert before == tree(tmp_path).hash_of_all()
    assert before != tree(tmp_path, {"tools/saw.py": "1"}).hash_of("a_notebook")


def test_code_that_is_changed_under_a_running_process_is_not_what_it_runs(tmp_path: Path) -> None:
    loaded = tree(tmp_path)
    tree(tmp_path, {"work.py": "1"})
    assert loaded.hash_of("top.work") == tree(tmp_path, FILES).hash_of("top.work")


def test_a_version_counts_where_the_library_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tree(tmp_path)
    before = {name: found.hash_of(name) for name in ("top.work", "top.oil")}
    monkeypatch.setattr("nurture_rl.workflow.source_tree.version", lambda library: "99")
    assert found.hash_of("top.work") != before["top.work"]
    assert found.hash_of("top.oil") == before["top.oil"]


def test_the_packages_that_run_are_read_whole() -> None:
    found = installed_tree()
    assert {"nurture_envs.simulation", "nurture_rl.workflow.source_tree"} <= found.modules.keys()
    assert "nurture_envs.loops.player" in found.reached("nurture_rl.rl.ppo")
