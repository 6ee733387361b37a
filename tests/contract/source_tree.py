"""What the contract tests look at: modules on disk, and what each of them imports."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = {"nurture_rl": ROOT, "nurture_envs": ROOT / "envs", "hydra_plugins": ROOT}


def modules_of(*packages: str) -> dict[str, Path]:
    """Every module of the named packages: dotted name → file."""
    found = {}
    for package in packages:
        base = SOURCE_ROOTS[package]
        for path in sorted((base / package).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def scripts() -> list[Path]:
    """The files of experiments: the verbs, and the recorded experiments with their code."""
    return sorted((ROOT / "experiments").rglob("*.py"))


def under(module: str, roots: Iterable[str]) -> bool:
    """Whether a dotted name is one of `roots` or lies below one."""
    return any(module == root or module.startswith(root + ".") for root in roots)


@cache  # several tests walk the same files
def imports(path: Path, name: str = "") -> tuple[str, ...]:
    """Dotted names that file `path`, imported as `name`, imports, also inside functions."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            steps = package.split(".")
            near = steps[: len(steps) - node.level + 1] if node.level else []
            source = ".".join([*near, node.module] if node.module else near)
            # `from a import b` may name a module b: both readings are told.
            found += (f"{source}.{alias.name}" for alias in node.names)
    return tuple(found)


def run_isolated(code: str, cwd: Path) -> str:
    """Standard output of `code` in a fresh interpreter that sees installed packages only.

    Raises:
        AssertionError: the interpreter failed; the message is what it printed.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
