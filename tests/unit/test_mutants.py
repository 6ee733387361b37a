"""Mutants are one change each, of numbers only, and say where their code lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutants import mutants_of
from tools.mutation_subjects import Subject, sampled

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
    ("body", "expected"),
    [
        ("return True", [("return True", "return False")]),
        ("x = a + 7", [("a + 7", "a - 7"), ("x = a + 7", "x = a + 8")]),
        ("return 0.5", [("return 0.5", "return 1.0")]),
        ("return 0.0", [("return 0.0", "return 1.0")]),
        ("return a and b", [("a and b", "a or b")]),
        ("return not a", [("not a", "not not a")]),
        ("return a is None", [("a is None", "a is not None")]),
        ("return a == b", [("a == b", "a != b")]),
        ("return a in b", [("a in b", "a not in b")]),
        ('return a["x"], a["y"]', [("a['x']", "a['y']"), ("a['y']", "a['x']")]),
        ('return a["x"], b["y"]', []),
        ("return a.reshape(-1)", [("-1", "+1")]),
        ("return zip(a, b, strict=True)", []),
        ("return json.dumps(a, indent=2)", []),
        ("return max(a, 1e-9)", [("max(a, 1e-09)", "min(a, 1e-09)")]),
    ],
)
def test_values_are_changed_on_request(body: str, expected: list[tuple[str, str]]) -> None:
    source = f"def f(a, b):\n    {body}\n"
    found = [(one.original, one.changed) for one in mutants_of(source, "m.py", values=True)]
    assert found == expected


def test_defaults_of_settings_are_no_values_to_change() -> None:
    source = "LIMIT = 3\nclass C:\n    size: int = 4\ndef f(a=5):\n    return a\n"
    assert mutants_of(source, "m.py", values=True) == []


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


def drawn(sources: dict[str, str], size: int) -> dict[str, set[str]]:
    """The statements of each module that a sample changes."""
    subjects = [
        Subject(ROOT / name, (), tuple(mutants_of(source, name, values=True)))
        for name, source in sources.items()
    ]
    return {
        one.path.name: {mutant.changed for mutant in one.mutants}
        for one in sampled(subjects, size, seed=0)
    }


def lines(name: str, numbers: range) -> str:
    return f"def {name}():\n" + "".join(f"    x = {number}\n" for number in numbers)


def test_a_sample_is_a_part_of_every_larger_one() -> None:
    sources = {"a.py": lines("f", range(30)), "b.py": lines("g", range(30))}
    small, large = drawn(sources, 15), drawn(sources, 45)
    assert sum(map(len, small.values())) == 15
    assert sum(map(len, large.values())) == 45
    assert all(small[name] < large[name] for name in sources)


def test_an_edit_elsewhere_draws_no_other_mutants() -> None:
    before = {"a.py": lines("f", range(30)), "b.py": lines("g", range(30))}
    edited = {"a.py": "def h():\n    return 1 + 1\n" + before["a.py"], "b.py": before["b.py"]}
    first, second = drawn(before, 30), drawn(edited, 30)
    # Each of the three new mutants that is drawn takes the place of one.
    missing = [(name, text) for name in first for text in first[name] - second[name]]
    assert len(missing) <= 3


def test_equal_changes_of_a_function_are_drawn_one_by_one() -> None:
    source = "def f():\n    x = 1\n" + "    x = 1\n" * 19
    subject = Subject(ROOT / "a.py", (), tuple(mutants_of(source, "a.py", values=True)))
    assert [len(one.mutants) for one in sampled([subject], 7, seed=0)] == [7]


@pytest.mark.slow
def test_another_room_is_judged_by_its_own_tests_with_a_sample_of_its_mutants() -> None:
    asked = ["--values", "--sample", "2", "--seed", "1", "nurture_rl/learned/returns.py"]
    run = subprocess.run(
        [sys.executable, "tools/flip_signs.py", *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ", drawn with seed 1\n" in run.stdout, run.stdout + run.stderr
    assert "nurture_rl/learned/returns.py: 2 mutants, 0 survived" in run.stdout
    assert run.returncode == 0


@pytest.mark.slow
def test_a_module_whose_tests_notice_every_sign_has_no_survivor() -> None:
    run = subprocess.run(
        [sys.executable, "tools/flip_signs.py", "nurture_rl/ope/clusters.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.endswith("4 mutants, 4 killed, 0 survived\n"), run.stdout + run.stderr
    assert run.returncode == 0
