"""What is declared is what is imported; what is installed is two packages."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from tests.contract.source_tree import (
    ROOT,
    SOURCE_ROOTS,
    imports,
    modules_of,
    run_isolated,
    scripts,
)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OUR_NAMES = {"nurture_rl", "nurture_envs", "hydra_plugins", "tests", "experiments"}
# Loaded only when an extra is asked for, and guarded where it is imported; llvmlite is numba's own,
# at the one version that numba takes.
OPTIONAL = {"splink", "llvmlite", "optuna", "psycopg", "psycopg_pool", "pyspark", "ray"}


def normal(requirement: str) -> str:
    """`Foo_Bar[x]>=1` → `foo-bar`, the spelling registries compare by."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, f"not a requirement: {requirement!r}"
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def lines_of(name: str) -> list[str]:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]


def test_every_imported_library_is_declared() -> None:
    declared = {normal(item) for item in PROJECT["project"]["dependencies"]}
    homes = importlib.metadata.packages_distributions()
    packages = modules_of("nurture_rl", "nurture_envs", "hydra_plugins")
    files = [*packages.items(), *((p.stem, p) for p in scripts())]
    used = {target.split(".")[0] for name, path in files for target in imports(path, name)}
    foreign = used - OUR_NAMES - OPTIONAL - set(sys.stdlib_module_names)
    missing = {lib for lib in foreign if not declared & {normal(d) for d in homes.get(lib, [])}}
    assert missing == set()


def test_every_declared_dependency_has_an_exact_pin_without_a_build_label() -> None:
    pins = lines_of("lock-py311.txt")
    loose = [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", pin)]
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = {*PROJECT["project"]["dependencies"], *(item for extra in extras for item in extra)}
    ours = {normal(PROJECT["project"]["name"])}  # an extra may name another of ours
    unpinned = {normal(item) for item in declared} - {normal(pin) for pin in pins} - ours
    assert loose == []
    assert unpinned == set()


def test_the_serving_list_is_locked_and_slim() -> None:
    serving = {normal(line) for line in lines_of("serving.txt")}
    assert serving <= {normal(pin) for pin in lines_of("lock-py311.txt")}
    assert serving.isdisjoint(
        {"torch", "numba", "mlflow", "matplotlib", "scipy", "gymnasium", "duckdb"}
    )


def test_only_the_two_packages_become_importable(tmp_path: Path) -> None:
    hidden = ["tests", "experiments", "configs", "notebooks", "benchmarks", "tools", "envs"]
    code = (
        "from importlib.util import find_spec\n"
        f"print(*[n for n in {hidden!r} if find_spec(n)])\n"
        "import nurture_envs, nurture_rl"
    )
    assert run_isolated(code, tmp_path).split() == []


def test_every_folder_with_modules_is_a_package_and_no_source_root_is() -> None:
    paths = modules_of("nurture_rl", "nurture_envs").values()
    assert {p.parent for p in paths if not (p.parent / "__init__.py").exists()} == set()
    assert not (SOURCE_ROOTS["nurture_envs"] / "__init__.py").exists()


def test_every_data_file_in_a_package_is_shipped() -> None:
    shipped = PROJECT["tool"]["setuptools"]["package-data"]
    for package, base in SOURCE_ROOTS.items():
        folder = base / package
        files = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        data = [p for p in files if p.suffix != ".py"]
        names = [path.relative_to(folder).as_posix() for path in data]
        lost = [n for n in names if not any(fnmatch(n, glob) for glob in shipped[package])]
        assert lost == []


def test_the_plugins_are_shipped_in_a_namespace() -> None:
    """`hydra_plugins` is a namespace: a module of its own would hide other packages' plugins."""
    assert not (ROOT / "hydra_plugins" / "__init__.py").exists()
    find = PROJECT["tool"]["setuptools"]["packages"]["find"]
    assert find["namespaces"]
    assert "hydra_plugins.*" in find["include"]
    # Else folders of data and of caches were packages, too.
    assert {"*.__pycache__", "nurture_rl.configs", "nurture_envs.journeys"} <= set(find["exclude"])


def test_the_console_scripts_name_functions() -> None:
    for target in PROJECT["project"]["scripts"].values():
        module, function = target.split(":")
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
