"""The packages' sources, and a hash of those that a piece of work depends on."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("nurture_envs", "nurture_rl")
# They compute the numbers: another version draws, rounds or trains otherwise, and a policy of one
# should not be compared with a policy of another unawares. Others read, move and show data only.
NUMERIC = ("numpy", "scipy", "torch")
_BESIDE = (".css", ".html", ".j2", ".json")  # what the modules of a folder read from it


class SourceTree:
    """The sources as they are now: later changes on disk are not those of the code that runs."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Read every module of packages.

        Args:
            folders: where each package lies, by its name.
        """
        self.modules: dict[str, bytes] = {}  # source by dotted name
        self._packages: set[str] = set()
        self._beside: dict[str, dict[str, bytes]] = {}  # by package: content by file name
        for package, folder in folders.items():
            for path in sorted(folder.rglob("*")):
                inside = [package, *path.relative_to(folder).parent.parts]
                if path.suffix in _BESIDE:
                    self._beside.setdefault(".".join(inside), {})[path.name] = path.read_bytes()
                elif path.name == "__init__.py":
                    self.modules[".".join(inside)] = path.read_bytes()
                    self._packages.add(".".join(inside))
                elif path.suffix == ".py":
                    self.modules[".".join([*inside, path.stem])] = path.read_bytes()

    def reached(self, *starts: str) -> frozenset[str]:
        """These modules and what they import, all the way down, also inside functions.

        A module brings its packages along. What is imported for the type checker alone never runs
        and does not count. Other libraries are named by their first word.
        """
        names: set[str] = set()
        waiting = list(starts)
        while waiting:
            name = waiting.pop()
            if name.partition(".")[0] not in self._packages:
                names.add(name.partition(".")[0])
                continue
            while name not in self.modules:  # a function or class of a module
                name = name.rpartition(".")[0]
            if name not in names:
                names.add(name)
                waiting += self._imported(name)
                waiting += [name.rpartition(".")[0]] if "." in name else []
        return frozenset(names)

    def hash_of(self, *starts: str) -> str:
        """Hash of the sources that these modules depend on; of all where one is none of ours."""
        if not self.modules.keys() >= set(starts):
            return self.hash_of_all()
        return self._hash(self.reached(*starts))

    def hash_of_all(self) -> str:
        """Hash of every source."""
        return self._hash(frozenset((*self.modules, *NUMERIC)))

    def _hash(self, names: frozenset[str]) -> str:
        digest = hashlib.sha256()
        for name in sorted(names):
            if name in self.modules:
                digest.update(f"{name}\n".encode() + self.modules[name])
            elif name in NUMERIC:
                digest.update(f"{name}=={version(name)}\n".encode())
            for file, content in self._beside.get(name, {}).items():
                digest.update(f"{name}/{file}\n".encode() + content)
        return digest.hexdigest()[:16]

    def _imported(self, name: str) -> frozenset[str]:
        package = name if name in self._packages else name.rpartition(".")[0]
        return _imported(self.modules[name], package)


@lru_cache(maxsize=1)
def installed_tree() -> SourceTree:
    """Both packages as this process found them when it first asked."""
    folders = {}
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None, f"package {package} is not installed"
        folders[package] = Path(next(iter(spec.submodule_search_locations or ())))
    return SourceTree(folders)


@cache
def _imported(source: bytes, package: str) -> frozenset[str]:
    """Dotted names that a module in `package` imports when it runs."""
    return frozenset(_imports(ast.parse(source), package, b"import_module" in source))


def _imports(module: ast.Module, package: str, by_call: bool) -> Iterator[str]:
    """See `_imported`; expressions, which are nine nodes of ten, are only read for calls."""
    waiting: list[ast.AST] = [module]
    read = ast.AST if by_call else (ast.stmt, ast.excepthandler, ast.match_case)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _word(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += (child for child in ast.iter_child_nodes(node) if isinstance(child, read))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            near = package.split(".")[: len(package.split(".")) - node.level + 1]
            source = ".".join([*(near if node.level else []), *filter(None, [node.module])])
            # `from a import b` may name a module b: a name that is none leads to a.
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _word(node.func) == "import_module":
            yield from (str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def _word(node: ast.expr) -> str:
    """The last word of a dotted name."""
    return str(getattr(node, "id", getattr(node, "attr", "")))
