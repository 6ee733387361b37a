"""Which public names of the library can be reached from where a user starts.

Read from the text of modules; nothing is run. A name is reached when the code of a reached name
speaks of it. A method is reached when its class is and reached code speaks of any attribute of its
name, or at once where its class has a base of another library, which may call it (`forward`,
`reset`). So a dead method that shares its name with a living one is not found.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

IMPORTED = "<module>"  # in place of a name: what a module does when it is imported
# Bases that call nothing of ours by its own name.
_QUIET = {
    *("ABC", "Enum", "Exception", "Generic", "IntEnum", "IntFlag", "NamedTuple", "Protocol"),
    *("StrEnum", "TypedDict", "ValueError", "object"),
}


@dataclass(slots=True)
class Piece:
    """A function, class, method or constant: what its code speaks of."""

    owner: str = ""  # a method's class, dotted
    called_back: bool = False  # a method that another library may call
    names: set[str] = field(default_factory=set)  # dotted
    attributes: set[str] = field(default_factory=set)  # of objects of any class
    texts: set[str] = field(default_factory=set)


class Library:
    """The names of some modules.

    Args:
        modules: dotted name → file.
    """

    def __init__(self, modules: Mapping[str, Path]) -> None:
        self._files = modules
        self._trees = {name: ast.parse(path.read_text("utf-8")) for name, path in modules.items()}
        self._aliases = {name: self._imported_as(name) for name in modules}
        self._pieces: dict[str, Piece] = {}
        self._methods: dict[str, list[str]] = {}
        for name in modules:
            self._read(name)

    @property
    def public(self) -> list[str]:
        """Dotted names of functions, classes, constants and methods, and of modules' imports."""
        return [
            name
            for name, piece in self._pieces.items()
            if not piece.called_back and not any(p.startswith("_") for p in name.split("."))
        ]

    def reached(self, starts: Iterable[str], attributes: Iterable[str] = ()) -> set[str]:
        """Every name that code leads to.

        Args:
            starts: dotted names where a user starts; a module's stands for its import.
            attributes: names that a user may ask of any object.

        Raises:
            KeyError: a start is no name of these modules.
        """
        found: set[str] = set()
        said, loaded = set(attributes), set[str]()
        todo = []
        for start in starts:
            name = self._resolved(start)
            if name is None:
                raise KeyError(start)
            todo.append(name)
        while todo:
            while todo:
                name = todo.pop()
                if name in found:
                    continue
                found.add(name)
                piece = self._pieces[name]
                said |= piece.attributes
                loaded |= piece.texts & set(self._files)
                targets = (self._resolved(target) for target in piece.names)
                todo += [target for target in targets if target]
                todo += [piece.owner] if piece.owner else []
                todo += self._on_import(self._module_of(name))
            todo = [
                method
                for name in found
                for method in self._methods.get(name, [])
                if self._pieces[method].called_back or _last(method) in said
            ]
            todo += [f"{module}.{word}" for module in loaded for word in said]
            todo = [name for name in todo if name in self._pieces and name not in found]
        return found

    def _on_import(self, module: str) -> list[str]:
        steps = module.split(".")
        outer = (".".join(steps[: n + 1]) for n in range(len(steps)))
        return [f"{name}.{IMPORTED}" for name in outer if name in self._files]

    def _module_of(self, name: str) -> str:
        while name and name not in self._files:
            name = name.rpartition(".")[0]
        return name

    def _resolved(self, name: str) -> str | None:
        """The piece that a dotted name means, through imports from elsewhere."""
        while True:
            if name in self._pieces:
                return name
            module = self._module_of(name)
            if name == module:
                return f"{module}.{IMPORTED}" if module else None
            first, _, rest = name[len(module) + 1 :].partition(".")
            if f"{module}.{first}" in self._pieces:
                return f"{module}.{first}"
            target = self._aliases.get(module, {}).get(first)
            if target is None:
                return None
            name = f"{target}.{rest}" if rest else target

    def _imported_as(self, module: str) -> dict[str, str]:
        found: dict[str, str] = {}
        own = module if self._files[module].name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(self._trees[module]):
            if isinstance(node, ast.Import):
                found |= {alias.asname: alias.name for alias in node.names if alias.asname}
            elif isinstance(node, ast.ImportFrom):
                steps = own.split(".")
                near = steps[: len(steps) - node.level + 1] if node.level else []
                source = ".".join([*near, node.module] if node.module else near)
                found |= {a.asname or a.name: f"{source}.{a.name}" for a in node.names}
        return found

    def _read(self, module: str) -> None:
        self._add(module, IMPORTED, [])
        for statement in self._trees[module].body:
            if isinstance(statement, ast.ClassDef):
                self._read_class(module, statement)
            elif isinstance(statement, ast.FunctionDef):
                self._add(module, statement.name, [statement])
            elif isinstance(statement, ast.Assign | ast.AnnAssign):
                for node in ast.walk(statement):
                    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                        self._add(module, node.id, [statement])
            elif not isinstance(statement, ast.Import | ast.ImportFrom):
                self._add(module, IMPORTED, [statement])

    def _read_class(self, module: str, cls: ast.ClassDef) -> None:
        inner: list[ast.AST] = [*cls.bases, *cls.keywords, *cls.decorator_list]
        owner, called = f"{module}.{cls.name}", self._called_back(module, cls)
        for statement in cls.body:
            if isinstance(statement, ast.FunctionDef) and not statement.name.startswith("_"):
                name = f"{cls.name}.{statement.name}"
                self._add(module, name, [statement], owner, called)
                self._methods.setdefault(owner, []).append(f"{module}.{name}")
            else:
                inner.append(statement)
        self._add(module, cls.name, inner)

    def _called_back(self, module: str, cls: ast.ClassDef) -> bool:
        """Whether a base is another library's, or has one."""
        for base in cls.bases:
            word = _dotted(base.value if isinstance(base, ast.Subscript) else base)
            if _last(word) in _QUIET:
                continue
            target = self._spelt(module, word)
            home = self._module_of(target)
            if not home:
                return True
            known = [one for one in self._trees[home].body if isinstance(one, ast.ClassDef)]
            if any(f"{home}.{one.name}" == target and self._called_back(home, one)
                   for one in known):  # fmt: skip
                return True
        return False

    def _spelt(self, module: str, word: str) -> str:
        """The whole dotted name that a word of a module's code stands for."""
        first, dot, rest = word.partition(".")
        return f"{self._aliases[module].get(first, f'{module}.{first}')}{dot}{rest}"

    def _add(
        self,
        module: str,
        name: str,
        code: Iterable[ast.AST],
        owner: str = "",
        called_back: bool = False,
    ) -> None:
        piece = self._pieces.setdefault(f"{module}.{name}", Piece(owner, called_back))
        for node in (node for part in code for node in ast.walk(part)):
            if isinstance(node, ast.Attribute):
                piece.attributes.add(node.attr)
                if word := _dotted(node):
                    piece.names |= {self._spelt(module, word), word}
            elif isinstance(node, ast.Name):
                piece.names.add(self._spelt(module, node.id))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                piece.texts.add(node.value)
                if node.value.isidentifier():  # a type in quotes
                    piece.names.add(self._spelt(module, node.value))
            elif isinstance(node, ast.Call) and _dotted(node.func) == "getattr":
                piece.attributes |= set(_texts(node.args))


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _dotted(node: ast.AST) -> str:
    """`a.b.c` of such an expression, nothing of any other."""
    if isinstance(node, ast.Name):
        return node.id
    inner = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _last(name: str) -> str:
    return name.rpartition(".")[2]
