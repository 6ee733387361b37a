"""Mutants are one change each, of numbers only, and say where their code lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import mutants_of

ROOT = Path(__file__).resolve().parents[2]


def changes(source: str, arithmetic_only: bool = False) -> list[tuple[str, str]]:
    return [
        (mutant.original, mutant.changed)
        for mutant in mutants_of(source, "m.py")
        if mutant.arithmetic or not arithmetic_only
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a + b", [("a + b", "a - b")]),
        ("a - b", [("a - b", "a + b")]),
        ("a * b", [("a * b", "a / b")]),
        ("a / b", [("a / b", "a * b")]),
        ("a // b", [("a // b", "a * b")]),
        ("-a", [("-a", "+a")]),
        ("a ** 2", [("a ** 2", "a ** (-2)")]),
        ("a ** -b", [("a ** (-b)", "a ** b"), ("-b", "+b")]),
        ("a += b", [("a += b", "a -= b")]),
        ("np.add(a, b)", [("np.add(a, b)", "np.subtract(a, b)")]),
    ],
)
def test_a_sign_or_factor_is_turned_round(source: str, expected: list[tuple[str, str]]) -> None:
    assert changes(source, arithmetic_only=True) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", [("a < b", "a >= b")]),
        ("0 < a <= 1", [("0 < a <= 1", "0 >= a <= 1"), ("0 < a <= 1", "0 < a > 1")]),
        ("np.minimum(a, b)", [("np.minimum(a, b)", "np.maximum(a, b)")]),
        ("a.max()", [("a.max()", "a.min()")]),
        ("~a", [("~a", "~~a")]),
    ],
)
def test_a_choice_is_turned_round_but_is_no_arithmetic(
    source: str, expected: list[tuple[str, str]]
) -> None:
    assert changes(source) == expected
    assert changes(source, arithmetic_only=True) == []


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError(a - b)",
        "f'{a - b}'",
        "'a' + b",
        "x: Literal[-1] = 1",
        "def f(x: Literal[-1]) -> Literal[-1]: ...",
        "seen.add(a)",
    ],
)
def test_what_gives_no_number_is_left_alone(source: str) -> None:
    assert changes(source) == []


def test_a_mutant_is_the_whole_module_with_one_change() -> None:
    source = "def f(a, b=-1):\n    return [a - b, a - b]\n"
    results = []
    for mutant in mutants_of(source, "m.py"):
        space: dict[str, object] = {}
        exec(mutant.code, space)
        function = space["f"]
        assert callable(function)
        results.append((mutant.owner, function(5)))
    assert results == [((), [4, 4]), (("f",), [4, 6]), (("f",), [6, 4])]


def test_the_owner_is_the_outermost_function_or_method() -> None:
    source = "class C:\n    @property\n    def p(self):\n        return (lambda x: x - 1)(2)\n"
    (mutant,) = mutants_of(source, "m.py")
    assert (mutant.owner, mutant.first_line, mutant.line) == (("C", "p"), 2, 4)


def test_a_long_expression_is_cut_around_the_change() -> None:
    (mutant,) = mutants_of(f"{'a' * 100} - {'b' * 100}", "m.py")
    assert f"{'a' * 9} - {'b' * 9}" in mutant.original
    assert f"{'a' * 9} + {'b' * 9}" in mutant.changed
    assert mutant.original.startswith("…")
    assert mutant.original.endswith("…")


def test_a_module_whose_tests_notice_every_sign_has_no_survivor() -> None:
    run = subprocess.run(
        [sys.executable, "tests/flip_signs.py", "nurture_rl/ope/clusters.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.endswith("4 mutants, 4 killed, 0 survived\n"), run.stdout + run.stderr
    assert run.returncode == 0
