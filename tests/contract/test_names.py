"""One name means one thing: no module and no public class is called like another."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.contract.source_tree import modules_of

PACKAGES = ("nurture_rl", "nurture_envs")
ONE_A_PACKAGE = {"__init__", "errors"}


def module_files() -> list[tuple[str, str]]:
    """The file name of every module without its ending, and the module's dotted name."""
    modules = modules_of(*PACKAGES)
    return [(path.stem, dotted) for dotted, path in modules.items()]


def public_classes() -> Iterator[tuple[str, str]]:
    """Every public class, and the dotted name of the module that defines it."""
    for dotted, path in modules_of(*PACKAGES).items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, dotted


def homes_of_repeated(named: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Names that stand more than once, with all their places."""
    homes: dict[str, list[str]] = {}
    for name, home in named:
        homes.setdefault(name, []).append(home)
    return {name: places for name, places in homes.items() if len(places) > 1}


def test_no_two_modules_have_the_same_file_name() -> None:
    named = [(name, dotted) for name, dotted in module_files() if name not in ONE_A_PACKAGE]
    assert homes_of_repeated(named) == {}, "give one of them a name of its own"


def test_each_package_has_one_module_of_errors() -> None:
    errors = [dotted for name, dotted in module_files() if name == "errors"]
    assert sorted(errors) == sorted(f"{package}.errors" for package in PACKAGES)


def test_no_two_public_classes_have_the_same_name() -> None:
    assert homes_of_repeated(list(public_classes())) == {}, "give one of them a name of its own"
