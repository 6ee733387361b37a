"""Which public names of the two packages can be reached from where a user starts.

Read from the text of the modules, nothing is run. A name is reached when the code of a reached name
speaks of it; a method when, beside that, reached code speaks of any attribute of its name. What a
class of another library calls back (`forward`, `reset`) counts as reached with its class.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Bases that call no method of ours by a name of their own.
_QUIET = {"object", "Protocol", "Generic", "NamedTuple", "Enum", "IntEnum", "StrEnum", "IntFlag",
          "Exception", "ValueError", "TypedDict", "ABC"}  # fmt: skip
_Def = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(slots=True)
class Spoken:
    """What a piece of code speaks of."""

    names: set[str] = field(default_factory=set)  # dotted, of modules and what stands in them
    attributes: set[str] = field(default_factory=set)  # of objects whose class is not known
    texts: set[str] = field(default_factory=set)  # strings; one may be a module's name


@dataclass(frozen=True, slots=True)
class Node:
    """A function, class, method or constant of a module, or what a module does when imported."""

    name: str  # dotted
    spoken: Spoken
    owner: str = ""  # a method's class
    called_back: bool = False  # a method that another library calls
    lines: int = 0


class Library:
    """The names of some modules and what the code of each speaks of.

    Args:
        modules: dotted name → file.
    """

    def __init__(self, modules: Mapping[str, Path]) -> None:
        self.modules = modules
        self.trees = {name: ast.parse(path.read_text("utf-8")) for name, path in modules.items()}
        self.aliases = {name: self._aliases_of(name, tree) for name, tree in self.trees.items()}
        self.nodes: dict[str, Node] = {}
        for name, tree in self.trees.items():
            for node in self._nodes_of(name, tree):
                if node.name in self.nodes:  # a name given twice, as by if and else
                    known = self.nodes[node.name].spoken
                    known.names |= node.spoken.names
                    known.attributes |= node.spoken.attributes
                    known.texts |= node.spoken.texts
                else:
                    self.nodes[node.name] = node

    def public(self) -> list[str]:
        """Every public name, a method as `module.Class.method`."""
        return [
            name
            for name, node in self.nodes.items()
            if not any(part.startswith("_") for part in name.split(".")) and not node.called_back
        ]

    def reached(self, roots: Iterable[str], attributes: Iterable[str] = ()) -> set[str]:
        """Every name that can be reached.

        Args:
            roots: dotted names where a user starts.
            attributes: names of methods that a user may call on what is returned.

        Raises:
            KeyError: a root is no name of the library.
        """
        found: set[str] = set()
        said = set(attributes)
        loaded: set[str] = set()  # modules that a text names
        methods = defaultdict(list)
        for node in self.nodes.values():
            if node.owner:
                methods[node.owner].append(node)
        todo = [self.resolved(root) for root in roots]
        if None in todo:
            raise KeyError([root for root in roots if self.resolved(root) is None])
        while todo:
            while todo:
                name = todo.pop()
                if name is None or name in found or name not in self.nodes:
                    continue
                found.add(name)
                node = self.nodes[name]
                said |= node.spoken.attributes
                loaded |= node.spoken.texts & set(self.modules)
                todo += [self.resolved(target) for target in node.spoken.names]
                todo += [one.name for one in methods[name] if one.called_back]
                if node.owner:
                    todo.append(node.owner)
                module = self.module_of(name)
                parts = module.split(".")
                todo += [".".join(parts[: n + 1]) + ".<module>" for n in range(len(parts))]
            for name in set(found):
                todo += [
                    one.name
                    for one in methods[name]
                    if one.name.rpartition(".")[2] in said and one.name not in found
                ]
            for module in loaded:
                todo += [
                    name
                    for attribute in said
                    if (name := f"{module}.{attribute}") in self.nodes and name not in found
                ]
        return found

    def module_of(self, name: str) -> str:
        """The module in which a dotted name stands."""
        while name and name not in self.modules:
            name = name.rpartition(".")[0]
        return name

    def resolved(self, name: str) -> str | None:
        """The node behind a dotted name, through re-exports; None where there is none."""
        for _ in range(9):
            if name in self.nodes:
                return name
            if name in self.modules:
                return f"{name}.<module>"
            module = self.module_of(name)
            if not module:
                return None
            first, _, rest = name[len(module) + 1 :].partition(".")
            if f"{module}.{first}" in self.nodes:
                return f"{module}.{first}"
            target = self.aliases[module].get(first)
            if target is None:
                return None
            name = f"{target}.{rest}" if rest else target
        return None

    def _aliases_of(self, module: str, tree: ast.Module) -> dict[str, str]:
        found = {}
        is_package = self.modules[module].name == "__init__.py"
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.asname:
                        found[alias.asname] = alias.name
            elif isinstance(node, ast.ImportFrom):
                steps = (module if is_package else module.rpartition(".")[0]).split(".")
                near = steps[: len(steps) - node.level + 1] if node.level else []
                source = ".".join([*near, node.module] if node.module else near)
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{source}.{alias.name}"
        return found

    def _nodes_of(self, module: str, tree: ast.Module) -> Iterator[Node]:
        loose: list[ast.AST] = []
        for statement in tree.body:
            if isinstance(statement, ast.ClassDef):
                yield from self._class_nodes(module, statement)
            elif isinstance(statement, _Def):
                yield Node(f"{module}.{statement.name}", self._spoken(module, [statement]),
                           lines=_lines(statement))  # fmt: skip
            elif isinstance(statement, ast.Assign | ast.AnnAssign):
                targets = (
                    statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                )
                names = [one.id for target in targets for one in ast.walk(target)
                         if isinstance(one, ast.Name)]  # fmt: skip
                for name in names:
                    yield Node(f"{module}.{name}", self._spoken(module, [statement]),
                               lines=_lines(statement))  # fmt: skip
            elif not isinstance(statement, ast.Import | ast.ImportFrom):
                loose.append(statement)
        yield Node(f"{module}.<module>", self._spoken(module, loose))

    def _class_nodes(self, module: str, cls: ast.ClassDef) -> Iterator[Node]:
        own = f"{module}.{cls.name}"
        inner: list[ast.AST] = [*cls.bases, *cls.keywords, *cls.decorator_list]
        called = self._called_back(module, cls)
        for statement in cls.body:
            if isinstance(statement, ast.FunctionDef) and not statement.name.startswith("_"):
                yield Node(f"{own}.{statement.name}", self._spoken(module, [statement]),
                           owner=own, called_back=called, lines=_lines(statement))  # fmt: skip
            else:
                inner.append(statement)
        yield Node(own, self._spoken(module, inner), lines=_lines(cls))

    def _called_back(self, module: str, cls: ast.ClassDef) -> bool:
        """Whether a class has a base of another library, whose code may call its methods."""
        for base in cls.bases:
            word = base.value if isinstance(base, ast.Subscript) else base
            dotted = _dotted(word)
            first, _, rest = dotted.partition(".")
            if dotted.rpartition(".")[2] in _QUIET:
                continue
            target = self.aliases[module].get(first, f"{module}.{first}")
            target = f"{target}.{rest}" if rest else target
            home = self.module_of(target)
            if not home:
                return True
            bases = [one for one in self.trees[home].body if isinstance(one, ast.ClassDef)]
            if any(f"{home}.{one.name}" == target and self._called_back(home, one)
                   for one in bases):  # fmt: skip
                return True
        return False

    def _spoken(self, module: str, pieces: list[ast.AST]) -> Spoken:
        found = Spoken()
        aliases = self.aliases[module]
        for piece in pieces:
            for node in ast.walk(piece):
                if isinstance(node, ast.Attribute):
                    found.attributes.add(node.attr)
                    dotted = _dotted(node)
                    first, _, rest = dotted.partition(".")
                    if rest:
                        found.names.add(f"{aliases.get(first, f'{module}.{first}')}.{rest}")
                        found.names.add(dotted)
                elif isinstance(node, ast.Name):
                    found.names.add(aliases.get(node.id, f"{module}.{node.id}"))
                elif isinstance(node, ast.ImportFrom):
                    pass
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.texts.add(node.value)
                    if node.value.isidentifier():  # getattr, or a type in quotes
                        found.names.add(aliases.get(node.value, f"{module}.{node.value}"))
                elif isinstance(node, ast.Call) and _dotted(node.func) == "getattr":
                    words = [one.value for one in node.args if isinstance(one, ast.Constant)]
                    found.attributes |= {word for word in words if isinstance(word, str)}
        return found


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
