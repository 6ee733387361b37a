"""Change one sign or value of a module at a time and show what its tests miss.

    python tools/flip_signs.py [--rooms] [--estimators] [--values] [--sample N] [modules ...]

Every change is a mutant; a mutant that its tests let pass is printed as a survivor, and the exit
code is then 1. Files are never touched: a fork of a process that has already collected the tests
puts the changed code into the living function, and runs them until the first failure. Changes
that this cannot reach (module level, or results that tests compute while they are imported) are
imported afresh in a fork that has not seen the module yet.

Tests of `nurture_rl/ope/PKG/NAME.py` are `tests/unit/ope/PKG/test_NAME.py`, and where there is
no such file all files of that folder that import the module. Tests of another room's module are
those that import it, its own file first, and only those of its room where there are any; where no
test does, those that import a module that imports it. A file of tests is asked only about what the
files before it let pass. Tests that fail without any change, as some do without compiled code, are
left out and counted.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # not this folder: its names are no packages

from tools.mutants import Mutant  # noqa: E402
from tools.mutation_subjects import (  # noqa: E402
    LEFT_OUT,
    OPE,
    ROOMS,
    Subject,
    estimating,
    modules_in,
    sampled,
    subject_of,
)

WARM = (
    "numpy",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "pyarrow.parquet",
    "torch",
)
PATIENCE = (5.0, 10.0)  # CPU seconds for a mutant: these, and so many times the unchanged tests
WAITING = 4.0  # times these on the clock: a mutant may wait for what never comes
MEMORY = 8 * 2**30  # bytes a mutant may ask for


class Broken(Exception):
    """The tests cannot judge mutants at all; the message says why."""


def main(arguments: Sequence[str]) -> int:
    """Run every mutant of the named modules; 1 when one survives or cannot be judged."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("modules", nargs="*", type=Path, help="default: all of nurture_rl/ope")
    parser.add_argument(
        "--rooms",
        action="store_true",
        help="the rooms beside nurture_rl/ope; of their sample, the part in the named modules",
    )
    parser.add_argument("--values", action="store_true", help="change values as well as signs")
    parser.add_argument("--sample", type=int, help="so many of the mutants, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument(
        "--estimators",
        action="store_true",
        help="only signs and factors, in modules that estimate and those of the room they import",
    )
    given = parser.parse_args(arguments)
    os.chdir(ROOT)
    asked = list(dict.fromkeys(modules_in(given.modules or (ROOMS if given.rooms else [OPE]))))
    paths = sorted(modules_in(ROOMS) if given.rooms else asked)
    _warm_up(compiled=not any(OPE in path.parents for path in paths))
    if given.rooms:
        paths = [path for path in paths if not path.stem.startswith(LEFT_OUT)]
    if given.estimators and not given.modules:
        paths = sorted(estimating(paths).intersection(paths))
    subjects = [subject_of(path, given.estimators, given.values) for path in paths]
    if given.sample is not None:
        subjects = sampled(subjects, given.sample, given.seed)
    judged = {subject.path: subject for subject in subjects}
    subjects = [judged[path] for path in asked if path in judged]
    total, survivors, broken = 0, 0, 0
    for subject in subjects:
        path = subject.path
        if not subject.mutants:
            continue
        started = time.monotonic()
        try:
            found = _survivors(subject)
        except Broken as reason:
            broken += 1
            print(f"{path.relative_to(ROOT)}: {reason}", flush=True)
            continue
        for mutant in found.alive:
            print(subject.text(mutant), flush=True)
        total, survivors = total + len(subject.mutants), survivors + len(found.alive)
        unsound = f", {found.left_out} of its tests left out" if found.left_out else ""
        print(
            f"{path.relative_to(ROOT)}: {len(subject.mutants)} mutants, "
            f"{len(found.alive)} survived{unsound}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
    print(f"{total} mutants, {total - survivors} killed, {survivors} survived")
    return int(survivors > 0 or broken > 0)


def _warm_up(compiled: bool) -> None:
    """Import what every test needs once, before any fork.

    Args:
        compiled: loops may be compiled: none of them is changed.
    """
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # forks share no threads
    if not compiled:  # what numba keeps on disk knows nothing of a changed sign
        os.environ["NUMBA_DISABLE_JIT"] = "1"
    for name in WARM:
        importlib.import_module(name)


@dataclass(frozen=True, slots=True)
class Survivors:
    """What the tests of a module let pass."""

    alive: tuple[Mutant, ...]
    left_out: int  # tests that fail without any change


def _survivors(subject: Subject) -> Survivors:
    """Mutants that pass every test file; a file is asked only for what the ones before let pass."""
    if not subject.tests:
        raise Broken(f"no test file for its {len(subject.mutants)} mutants")
    found, tried = Survivors(subject.mutants, 0), 0
    for test in subject.tests:
        if found.alive:
            passing, sound = _passing(replace(subject, tests=(test,), mutants=found.alive))
            found = Survivors(passing.alive, found.left_out + passing.left_out)
            tried += sound
    if tried == 0:
        raise Broken("its tests fail, or there are none, without any change")
    return found


def _passing(subject: Subject) -> tuple[Survivors, int]:
    """Mutants that pass and the number of tests that judged them.

    First by swapping code in a collected session, then imported afresh.
    """
    readable, writable = os.pipe()
    session = os.fork()
    if session == 0:
        os.close(readable)
        _silence()
        code = pytest.main(_pytest_arguments(subject), plugins=[_Swaps(subject, writable)])
        os._exit(int(code))
    os.close(writable)
    with os.fdopen(readable) as lines:
        found = [json.loads(line) for line in lines]
    os.waitpid(session, 0)
    if not found or "alive" not in found[-1]:
        raise Broken(found[-1]["broken"] if found else "its tests cannot be collected")
    alive, unsound, sound = (found[-1][name] for name in ("alive", "unsound", "sound"))
    if not sound:
        return Survivors(subject.mutants, len(unsound)), 0
    limit = found[-1]["limit"] + PATIENCE[0]
    if alive and _child(partial(_afresh, subject, None, unsound), limit)[0] != 0:
        raise Broken("its tests pass when collected once, but not when run alone")
    left = [
        mutant
        for mutant in (subject.mutants[place] for place in alive)
        if _child(partial(_afresh, subject, mutant, unsound), limit)[0] == 0
    ]
    return Survivors(tuple(left), len(unsound)), sound


def _pytest_arguments(subject: Subject) -> list[str]:
    without = (
        "terminal",
        "cacheprovider",
        "xdist",
        "schemathesis",
        "faker",
        "nbmake",
        "hydra_pytest",
    )
    quiet = [word for name in without for word in ("-p", f"no:{name}")]
    return [
        *quiet,
        "-o",
        "addopts=",
        "--import-mode=importlib",
        *(str(test) for test in subject.tests),
    ]


class _Swaps:
    """A pytest plugin: after collection, one fork per mutant instead of one run."""

    def __init__(self, subject: Subject, writable: int) -> None:
        self.subject, self.report = subject, os.fdopen(writable, "w")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items, seconds = _sound(session, list(session.items))
        unsound = [item.nodeid for item in session.items if item not in items]
        if unsound and items and _child(lambda: _run(session, items), None)[0] != 0:
            self._say({"broken": "its tests fail without any change, now these and now those"})
            return True
        limit = PATIENCE[0] + PATIENCE[1] * seconds
        module = importlib.import_module(self.subject.name)
        alive = []
        for place, mutant in enumerate(self.subject.mutants):
            function = _living(module, mutant)
            if function is None:
                alive.append(place)
                continue
            changed = _code_of(mutant.code, function.__code__)

            def swapped(function: FunctionType = function, changed: CodeType = changed) -> int:
                function.__code__ = changed
                return _run(session, items)

            code, _ = _child(swapped, limit)
            if code == 0:
                alive.append(place)
            elif 1 <= code <= len(items):
                items.insert(0, items.pop(code - 1))  # what killed one may kill the next
        self._say({"alive": alive, "limit": limit, "unsound": unsound, "sound": len(items)})
        return True

    def _say(self, found: dict[str, object]) -> None:
        self.report.write(json.dumps(found) + "\n")
        self.report.flush()


def _run(session: pytest.Session, items: Sequence[pytest.Item]) -> int:
    """Run tests until one fails; its number from 1, at most 200, or 0 when all pass."""
    for place, item in enumerate(items):
        following = items[place + 1] if place + 1 < len(items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return min(place + 1, 200)
    return 0 if items else 255


def _sound(session: pytest.Session, items: list[pytest.Item]) -> tuple[list[pytest.Item], float]:
    """The tests that pass without any change, and the CPU seconds of all."""
    readable, writable = os.pipe()

    def run_all() -> int:
        for place, item in enumerate(items):
            failed = session.testsfailed
            following = items[place + 1] if place + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed > failed:
                os.write(writable, f"{place}\n".encode())
        return 0

    _, seconds = _child(run_all, None)
    os.close(writable)
    with os.fdopen(readable) as lines:
        failing = {int(line) for line in lines}
    return [item for place, item in enumerate(items) if place not in failing], seconds


def _child(work: Callable[[], int], cpu_seconds: float | None) -> tuple[int, float]:
    """Run something in a fork: its exit code, or -1 when it was stopped, and its CPU seconds."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        code = 255
        try:
            _silence()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if cpu_seconds is not None:
                most = int(cpu_seconds) + 1
                resource.setrlimit(resource.RLIMIT_CPU, (most, most))
                signal.setitimer(signal.ITIMER_REAL, WAITING * most)
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            code = work()
        finally:
            os._exit(code)
    _, status, used = os.wait4(process, 0)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
    return code, used.ru_utime + used.ru_stime


def _silence() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _living(module: ModuleType, mutant: Mutant) -> FunctionType | None:
    """The function whose code a mutant changes, where one can put code into it."""
    found: object = module
    for name in mutant.owner:
        found = vars(found).get(name) if isinstance(found, (ModuleType, type)) else None
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    if isinstance(found, property):
        found = found.fget
    found = inspect.unwrap(found) if callable(found) else None
    if not isinstance(found, FunctionType) or found.__code__.co_firstlineno != mutant.first_line:
        return None
    return found


def _code_of(module: CodeType, original: CodeType) -> CodeType:
    """The changed counterpart of a function's code."""
    waiting = [module]
    while waiting:
        code = waiting.pop()
        same = code.co_qualname == original.co_qualname
        if same and code.co_firstlineno == original.co_firstlineno:
            return code
        waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
    raise LookupError(f"no code of {original.co_qualname}")


class _Shadow(SourceFileLoader):
    """Loads changed code under the module's own name and file."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self.code = code

    def get_code(self, fullname: str) -> CodeType:
        return self.code


@dataclass(frozen=True, slots=True)
class _Finder:
    """Stands before the ordinary finders and answers for one module."""

    name: str
    path: str
    code: CodeType

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        loader = _Shadow(name, self.path, self.code)
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


def _afresh(subject: Subject, mutant: Mutant | None, left_out: Sequence[str]) -> int:
    """Import the mutant in place of its module and run the tests; 0 when they pass."""
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(subject.name, str(subject.path), mutant.code))
    without = [f"--deselect={test}" for test in left_out]
    return int(pytest.main([*_pytest_arguments(subject), "--maxfail=1", *without]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
