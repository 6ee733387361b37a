"""Modules, functions and scripts stay small enough to be read."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.contract.source_tree import ROOT, modules_of, scripts

MODULE_LINES, FUNCTION_LINES = 400, 60
TESTS = sorted(path for top in ("tests", "tools") for path in (ROOT / top).rglob("*.py"))
FILES = [*modules_of("nurture_rl", "nurture_envs").values(), *scripts(), *TESTS]


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def long_functions(source: str, limit: int) -> list[str]:
    """`name (lines)` of each function longer than `limit`, docstring and signature counted."""
    sizes = [
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [f"{name} ({size})" for name, size in sizes if size > limit]


def test_files_and_their_functions_are_short() -> None:
    lines = {str(path.relative_to(ROOT)): line_count(path) for path in FILES}
    assert {name: count for name, count in lines.items() if count > MODULE_LINES} == {}
    functions = {
        str(path.relative_to(ROOT)): long_functions(path.read_text("utf-8"), FUNCTION_LINES)
        for path in FILES
    }
    assert {name: long for name, long in functions.items() if long} == {}


def test_a_function_one_line_over_is_named() -> None:
    source = """
def fits():
    x = 1
    return x

class C:
    async def over(self):
        x = 1
        x = 2
        return x
"""
    assert long_functions(source, 3) == ["over (4)"]
