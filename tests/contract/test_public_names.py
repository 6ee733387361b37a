"""What a user imports is little, listed, loaded late, and says the shape of every array."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.cli.keys import comments_of
from tests.contract.source_tree import ROOT, SOURCE_ROOTS, run_isolated
from tools.pages.docstrings import told

PACKAGES = ("nurture_envs", "nurture_rl")
NAMES = [(package, name) for package in PACKAGES for name in import_module(package).__all__]
ARRAY = re.compile(r"Array(Like)?\b|Tensor\b|Actions\b|Observations\b")
SHAPE = re.compile(r"\[[\w ,+*-]+\]")
HEAVY = ["torch", "numba", "mlflow", "matplotlib", "scipy", "duckdb", "ibis", "litestar"]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_lists_what_the_package_gives(package: str) -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    part = page.partition(f"## {package}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == import_module(package).__all__


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_sorted_and_the_type_checker_knows_each_where_it_is_loaded_from(
    package: str,
) -> None:
    tree = ast.parse((SOURCE_ROOTS[package] / package / "__init__.py").read_text("utf-8"))
    typed = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{package}.")
        for alias in node.names
    }
    module = import_module(package)
    assert typed == module._HOMES
    assert sorted(typed) == sorted(module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_name_can_be_imported_and_says_what_it_is(package: str, name: str) -> None:
    assert told(getattr(import_module(package), name)).summary


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_that_is_none_is_refused(package: str) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        import_module(package).nothing  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_alone_loads_none_of_the_heavy_libraries(package: str, tmp_path: Path) -> None:
    code = f"import sys, {package}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    assert run_isolated(code, tmp_path).split() == []


def test_a_name_brings_along_what_it_needs_alone(tmp_path: Path) -> None:
    code = "import sys\nfrom nurture_rl import build_policy, load_bundle\n"
    code += f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    assert run_isolated(code, tmp_path).split() == []


@pytest.mark.parametrize(("package", "name"), NAMES)
def test_every_array_is_told_with_its_shape(package: str, name: str) -> None:
    assert list(shapeless(getattr(import_module(package), name))) == []


def shapeless(thing: Any) -> Iterator[str]:
    """Arguments, fields and results that are arrays and say no shape."""
    if not inspect.isclass(thing):
        yield from shapeless_of(thing)
        return
    if is_dataclass(thing):
        comments = comments_of(thing)
        for one in fields(thing):
            if ARRAY.search(str(one.type)) and not SHAPE.search(comments.get(one.name, "")):
                yield f"{thing.__name__}.{one.name}"
    for name, method in vars(thing).items():
        inner = method.fget if isinstance(method, property) else method
        if not name.startswith("_") and inspect.isfunction(inner):
            yield from shapeless_of(inner)


def shapeless_of(function: Any) -> Iterator[str]:
    """Arguments and result of one function."""
    said = told(function)
    arguments = said.sections.get("Args", "")
    for name, kind in inspect.get_annotations(function).items():
        if not ARRAY.search(str(kind)):
            continue
        entry = re.search(rf"^[\w, ]*\b{name}\b[\w, ]*:(.*(?:\n +.*)*)", arguments, re.MULTILINE)
        text = entry[1] if entry else said.summary + said.body
        if name == "return":
            text = said.summary + said.body + said.sections.get("Returns", "")
        if not SHAPE.search(text):
            yield f"{function.__qualname__}: {name}"


def test_an_array_without_a_shape_is_found() -> None:
    def thing(good: FloatArray, bad: FloatArray) -> FloatArray:  # type: ignore[name-defined]  # noqa: F821
        """Add, [n].

        Args:
            good: numbers, [n].
            bad: others.
        """

    assert list(shapeless(thing)) == ["test_an_array_without_a_shape_is_found.<locals>.thing: bad"]
