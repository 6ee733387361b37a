"""What is changed and which tests must notice: modules, their mutants, their tests, excuses."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

from tools.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[1]
OPE = ROOT / "nurture_rl" / "ope"
OPE_TESTS = ROOT / "tests" / "unit" / "ope"
ROOMS = (
    *(
        ROOT / "nurture_rl" / room
        for room in (
            "appraisal",
            "bandits",
            "learned",
            "policies",
            "release",
            "rl",
            "serving",
            "simulator",
            "workflow",
        )
    ),
    ROOT / "envs" / "nurture_envs" / "guardrails",
)
LEFT_OUT = ("compiled",)  # compiled loops are judged by the plain ones
ESTIMATES = "ValueEstimate"  # what an estimator returns
_TESTED = sorted((ROOT / "tests" / "unit").rglob("test_*.py"))
_TESTED += sorted((ROOT / "tests" / "interchange").glob("test_*.py"))
_TESTED += [
    ROOT / "tests" / "pipeline" / f"test_ope_{name}.py" for name in ("app", "pass", "stream")
]
_SOURCES = [*(ROOT / "nurture_rl").rglob("*.py"), *(ROOT / "envs" / "nurture_envs").rglob("*.py")]


@dataclass(frozen=True, slots=True)
class Excuse:
    """A mutant that no test can tell from the module, and why."""

    path: str  # from the root
    original: str  # as printed
    changed: str  # as printed
    reason: str


EXCUSES: tuple[Excuse, ...] = (
    Excuse(
        path="nurture_rl/ope/ridge.py",
        original="held_out + 1",
        changed="held_out - 1",
        reason="any other fold may choose the penalty",
    ),
    Excuse(
        path="nurture_rl/ope/feature_map.py",
        original="np.abs(features).max(axis=0, initial=0.0)",
        changed="np.abs(features).min(axis=0, initial=0.0)",
        reason="the float64 mean of a constant float32 column is exact below 2^29 rows",
    ),
    Excuse(
        path="nurture_rl/release/parity.py",
        original="mean + scale * rng.normal(size=(n, len(mean)))",
        changed="mean - scale * rng.normal(size=(n, len(mean)))",
        reason="the normal distribution is symmetric",
    ),
    Excuse(
        path="nurture_rl/release/parity.py",
        original="base + noise",
        changed="base - noise",
        reason="the normal distribution is symmetric",
    ),
    Excuse(
        path="nurture_rl/bandits/linear_posterior.py",
        original="self.mean[:, None] + self.stderr[:, None] * noise",
        changed="self.mean[:, None] - self.stderr[:, None] * noise",
        reason="the normal distribution is symmetric",
    ),
    Excuse(
        path="nurture_rl/bandits/logged_choices.py",
        original="np.abs(rows.returns).max()",
        changed="np.abs(rows.returns).min()",
        reason="returns that hardly vary beside their size have one size",
    ),
    Excuse(
        path="nurture_rl/bandits/shrink_choice.py",
        original="-np.inf",
        changed="+np.inf",
        reason="a value that stands alone is the largest, whatever it is",
    ),
    Excuse(
        path="nurture_rl/rl/ppo.py",
        original="chosen.std(correction=0) + 1e-08",
        changed="chosen.std(correction=0) - 1e-08",
        reason="where advantages do not spread, all that count are 0 and stay it",
    ),
    Excuse(
        path="nurture_rl/bandits/bootstrapped_thompson.py",
        original="drawn.right + precision * prior",
        changed="drawn.right - precision * prior",
        reason="the normal distribution is symmetric",
    ),
    Excuse(
        path="nurture_rl/simulator/gap/propensities.py",
        original="a, b = (old + float(np.clip(move, -1.0, 1.0)) for old, move in zip((a, b…",
        changed="a, b = (old + float(np.clip(move, -2.0, 1.0)) for old, move in zip((a, b…",
        reason="a longest step changes the way to the optimum, not the optimum",
    ),
    Excuse(
        path="nurture_rl/rl/training_rollout.py",
        original="….keys, state.bins, _EXPLORE_STREAM, 1)[0]",
        changed="….keys, state.bins, _EXPLORE_STREAM, 2)[0]",
        reason="the first number of a stream is the same however many are drawn",
    ),
    Excuse(
        path="nurture_rl/simulator/network_training.py",
        original="thinned = bool((rows.exposure < 1.0).any())",
        changed="thinned = bool((rows.exposure < 2.0).any())",
        reason="the longer formula gives the same slope where every event is known",
    ),
    Excuse(
        path="nurture_rl/simulator/chains.py",
        original="rates = events / np.maximum(rows, 1.0)[:, None]",
        changed="rates = events / np.maximum(rows, 2.0)[:, None]",
        reason="an action taken once expects an event alone only where it was seen alone",
    ),
    Excuse(
        path="nurture_rl/simulator/delays.py",
        original="…rn RecordingDelays(chance, events > 0, events, int(age.max(initial=0)))",
        changed="…rn RecordingDelays(chance, events > 1, events, int(age.max(initial=0)))",
        reason="an estimate is made of 20 events at least",
    ),
    Excuse(
        path="nurture_rl/policies/references.py",
        original="weights[weightless, catalog.wait] = 1.0",
        changed="weights[weightless, catalog.wait] = 2.0",
        reason="weights are divided by their sum: any weight of the only action is certainty",
    ),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A module, its mutants and the tests that must notice them."""

    path: Path
    tests: tuple[Path, ...]
    mutants: tuple[Mutant, ...]

    @property
    def name(self) -> str:
        """Dotted name of the module."""
        return module_name(self.path)

    def text(self, mutant: Mutant) -> str:
        """file:line:column original → changed."""
        where = f"{self.path.relative_to(ROOT)}:{mutant.line}:{mutant.column}"
        return f"{where}  {mutant.original}  →  {mutant.changed}"


def modules_in(given: Sequence[Path]) -> Iterator[Path]:
    for path in (path.resolve() for path in given):
        if not path.exists() or not {OPE, *ROOMS}.intersection((path, *path.parents)):
            rooms = ", ".join(str(room.relative_to(ROOT)) for room in (OPE, *ROOMS))
            raise SystemExit(f"expected a module or folder in one of {rooms}: {path}")
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def estimating(paths: Sequence[Path]) -> set[Path]:
    """Modules with a function that returns an estimate, and those of the room they import."""
    trees = {path: ast.parse(path.read_text()) for path in paths}
    chosen = {
        path
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and ESTIMATES in ast.unparse(node.returns)
    }
    imported = {
        ROOT.joinpath(*str(node.module).split(".")).with_suffix(".py")
        for path in chosen
        for node in ast.walk(trees[path])
        if isinstance(node, ast.ImportFrom)
    }
    return chosen | imported


def sampled(subjects: Sequence[Subject], size: int, seed: int) -> list[Subject]:
    """The subjects with so many of their mutants, drawn over all of them alike.

    A mutant's lot depends on itself alone, not on its place: an edit elsewhere leaves it as it
    was, and a smaller sample is a part of a larger one.
    """
    lots = [_lots(one, seed) for one in subjects]
    everyone = sorted(lot for drawn in lots for lot in drawn)
    size = min(size, len(everyone))
    kept = set(everyone[:size])
    print(f"{size} of {len(everyone)} mutants, drawn with seed {seed}", flush=True)
    return [
        replace(
            one, mutants=tuple(m for m, lot in zip(one.mutants, drawn, strict=True) if lot in kept)
        )
        for one, drawn in zip(subjects, lots, strict=True)
    ]


def _lots(subject: Subject, seed: int) -> list[str]:
    """A number for each mutant, as if by chance; the lowest ones are drawn."""
    seen: Counter[str] = Counter()
    lots = []
    for mutant in subject.mutants:
        place = (subject.path.relative_to(ROOT).as_posix(), *mutant.owner)
        text = repr((seed, place, mutant.original, mutant.changed))
        lots.append(sha256(f"{text} {seen[text]}".encode()).hexdigest())
        seen[text] += 1
    return lots


def module_name(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[1:] if names[0] == "envs" else names)


def subject_of(path: Path, arithmetic_only: bool, values: bool) -> Subject:
    shown = str(path.relative_to(ROOT))
    mutants = mutants_of(path.read_text(), str(path), values)
    excuses = [excuse for excuse in EXCUSES if excuse.path == shown]
    every = mutants_of(path.read_text(), "", True) if excuses else []
    known = {(mutant.original, mutant.changed) for mutant in every}
    for excuse in excuses:
        if (excuse.original, excuse.changed) not in known:
            raise SystemExit(f"{shown}: nothing to excuse at {excuse.original!r}; drop the excuse")
    excused = {(excuse.original, excuse.changed) for excuse in excuses}
    kept = tuple(
        mutant
        for mutant in mutants
        if (mutant.arithmetic or not arithmetic_only)
        and (mutant.original, mutant.changed) not in excused
    )
    return Subject(path, _tests_of(path), kept)


def _tests_of(path: Path) -> tuple[Path, ...]:
    if OPE not in path.parents:
        return _importing(path)
    folder = OPE_TESTS / path.parent.relative_to(OPE)
    own = folder / f"test_{path.name}"
    if own.exists():
        return (own,)
    files = sorted(folder.glob("test_*.py"))
    return tuple(file for file in files if module_name(path) in _imports(file))


def _importing(path: Path) -> tuple[Path, ...]:
    """Tests that import a module, or else a module that does; its own test file first.

    Where folders of tests are named like the module or one of its folders, the others are left out.
    """
    users = {module_name(path)}
    names = set(path.relative_to(ROOT).with_suffix("").parts)
    for _ in range(3):
        found = [test for test in _TESTED if users & _imports(test)]
        near = [test for test in found if names & set(test.relative_to(ROOT).parts)]
        if found:
            own = f"_{path.name}"  # test_NAME.py or test_FOLDER_NAME.py
            return tuple(
                sorted(near or found, key=lambda test: (not test.name.endswith(own), test))
            )
        users |= {module_name(other) for other in _SOURCES if users & _imports(other)}
    return ()


@cache
def _imports(path: Path) -> frozenset[str]:
    """Modules that a file imports from, by their dotted names."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return frozenset(
        name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    )
