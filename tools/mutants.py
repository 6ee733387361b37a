"""One-place changes of a module's source: what could be wrong with it and still run.

A mutant is the module with a single operator turned round. On request also a single value changed:
a number, a truth value, a condition, one field of a record read for another. Annotations, raised
messages and formatted strings are left alone: no number comes from them. So are values that say
the same when changed: the -1 of `reshape`, as any negative length stands for the rest, the
`strict` of `zip`, how far JSON is indented, and guards below a millionth, which twice as large are
guards as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType

ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
}
NAMES = {
    "min": "max",
    "minimum": "maximum",
    "argmin": "argmax",
    "fmin": "fmax",
    "nanmin": "nanmax",
    "amin": "amax",
}
NAMES |= {other: name for name, other in NAMES.items()}
ARITHMETIC_NAMES = {"add": "subtract", "multiply": "divide"}
ARITHMETIC_NAMES |= {other: name for name, other in ARITHMETIC_NAMES.items()}
CONDITIONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
GUARD = 1e-6  # what keeps a division or a logarithm finite
SHOWN = 72  # characters of an expression that are printed


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed operator of a module."""

    line: int
    column: int
    original: str  # the expression as written, on one line
    changed: str  # the same after the change
    arithmetic: bool  # a sign or factor, not a comparison, a choice of the larger or a value
    owner: tuple[str, ...]  # function or class and method it lies in; () at module level
    first_line: int  # of the owner's code, 0 at module level
    code: CodeType  # of the whole changed module


def mutants_of(source: str, path: str, values: bool = False) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines.

    Args:
        source: of the module.
        path: its file, for messages.
        values: also change values inside functions; defaults of settings are nobody's claim.
    """
    tree = ast.parse(source, path)
    statement, indifferent = _statements(tree), _indifferent(tree)
    fields_of = cache(_fields_read)
    found: list[Mutant] = []
    for owner, node in _sites(tree):
        if node in indifferent:
            continue
        changes = [*_changes(node)]
        if values and owner and isinstance(owner[-1], ast.FunctionDef):
            changes += [(False, change) for change in _values(node, fields_of(owner[-1]))]
        for arithmetic, apply in changes:
            # A number alone says nothing: it is shown in its statement.
            shown = statement[node] if isinstance(node, ast.Constant) else node
            before = ast.unparse(shown)
            undo = apply()
            original, changed = _around_change(before, ast.unparse(shown))
            ast.fix_missing_locations(node)
            code = compile(tree, path, "exec")
            undo()
            names = tuple(part.name for part in owner)
            found.append(
                Mutant(
                    line=node.lineno,
                    column=node.col_offset + 1,
                    original=original,
                    changed=changed,
                    arithmetic=arithmetic,
                    owner=names,
                    first_line=_first_line(owner[-1]) if owner else 0,
                    code=code,
                )
            )
    return sorted(found, key=lambda mutant: (mutant.line, mutant.column))


def _statements(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    """The innermost statement that holds each node."""
    inside: dict[ast.AST, ast.AST] = {}
    for statement in ast.walk(tree):  # outer statements come before those in them
        if isinstance(statement, ast.stmt):
            inside |= dict.fromkeys(ast.walk(statement), statement)
    return inside


def _indifferent(tree: ast.Module) -> set[ast.AST]:
    """The 1 in `reshape(..., -1)`, the `strict` of `zip` and the `indent` of JSON."""
    found: set[ast.AST] = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "reshape":
            found |= {one.operand for one in call.args if isinstance(one, ast.UnaryOp)}
        if isinstance(call.func, ast.Name) and call.func.id == "zip":
            found |= {one.value for one in call.keywords}
        if isinstance(call.func, ast.Attribute) and call.func.attr == "dumps":
            found |= {one.value for one in call.keywords if one.arg == "indent"}
    return found


Owner = tuple[ast.FunctionDef | ast.ClassDef, ...]
Site = ast.expr | ast.AugAssign


def _sites(tree: ast.Module) -> Iterator[tuple[Owner, Site]]:
    """Expressions that may be changed, with the outermost function whose code holds them."""
    stack: list[tuple[Owner, ast.AST]] = [((), tree)]
    while stack:
        owner, node = stack.pop()
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.arguments)):
            # Defaults are evaluated where the function is defined, not in its code.
            if isinstance(node, ast.arguments):
                stack += [
                    ((), default) for default in (*node.defaults, *node.kw_defaults) if default
                ]
            continue
        if isinstance(node, (ast.expr, ast.AugAssign)):
            yield owner, node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            inside = _inside(owner, node) if name == "body" else owner
            children = value if isinstance(value, list) else [value]
            stack += [(inside, child) for child in children if isinstance(child, ast.AST)]


def _inside(owner: Owner, node: ast.AST) -> Owner:
    """The owner of a node's body: functions inside functions belong to the outer one's code."""
    if isinstance(node, ast.ClassDef) and not owner:
        return (node,)
    if isinstance(node, ast.FunctionDef) and not (owner and isinstance(owner[-1], ast.FunctionDef)):
        return (*owner, node)
    return owner


class _Change:
    """Sets a field of a node; calling it gives the way back."""

    def __init__(self, node: ast.AST, name: str, value: object) -> None:
        self.node, self.name, self.value = node, name, value

    def __call__(self) -> _Change:
        before = getattr(self.node, self.name)
        setattr(self.node, self.name, self.value)
        return _Change(self.node, self.name, before)


def _changes(node: Site) -> Iterator[tuple[bool, _Change]]:
    """Whether it is arithmetic, and how to do it, for each change of one node."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        operator = type(node.op)
        if isinstance(node.op, ast.Pow) and isinstance(node, ast.BinOp):
            yield True, _Change(node, "right", _negated(node.right))
        elif operator in ARITHMETIC and not _joins_text(node):
            yield True, _Change(node, "op", ARITHMETIC[operator]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield True, _Change(node, "op", ast.UAdd())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        yield False, _Change(node, "operand", ast.UnaryOp(ast.Invert(), node.operand))
    elif isinstance(node, ast.Compare):
        for place, comparison in enumerate(node.ops):
            if type(comparison) in COMPARISONS:
                ops = list(node.ops)
                ops[place] = COMPARISONS[type(comparison)]()
                yield False, _Change(node, "ops", ops)
    elif isinstance(node, ast.Call):
        called = node.func
        name = "attr" if isinstance(called, ast.Attribute) else "id"
        value = getattr(called, name, None)
        if value in NAMES:
            yield False, _Change(called, name, NAMES[value])
        elif value in ARITHMETIC_NAMES and _of_numpy(called):
            yield True, _Change(called, name, ARITHMETIC_NAMES[value])


def _values(node: Site, fields: Mapping[str, Sequence[str]]) -> Iterator[_Change]:
    """Other values in the place of one node's."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield _Change(node, "value", not node.value)
        elif isinstance(node.value, int):
            yield _Change(node, "value", node.value + 1)
        elif isinstance(node.value, float) and not 0.0 < node.value <= GUARD:
            yield _Change(node, "value", 2.0 * node.value if node.value else 1.0)
    elif isinstance(node, ast.BoolOp):
        yield _Change(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _Change(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
    elif isinstance(node, ast.Compare):
        for place, comparison in enumerate(node.ops):
            if type(comparison) in CONDITIONS:
                ops = list(node.ops)
                ops[place] = CONDITIONS[type(comparison)]()
                yield _Change(node, "ops", ops)
    elif isinstance(node, ast.Subscript) and _field(node) is not None:
        names = fields[ast.unparse(node.value)]
        other = names[(names.index(str(_field(node))) + 1) % len(names)]
        if len(names) > 1:
            yield _Change(node, "slice", ast.Constant(other))


def _field(node: ast.Subscript) -> str | None:
    """The name in `record["name"]`, where it is read."""
    key = node.slice
    named = isinstance(key, ast.Constant) and isinstance(key.value, str)
    return str(key.value) if named and isinstance(node.ctx, ast.Load) else None  # type: ignore[attr-defined]


def _fields_read(function: ast.FunctionDef) -> dict[str, list[str]]:
    """Names read from each record of a function, in order."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript) and (name := _field(node)) is not None:
            names = found.setdefault(ast.unparse(node.value), [])
            if name not in names:
                names.append(name)
    return found


def _of_numpy(called: ast.expr) -> bool:
    """`np.add` adds, the `add` of a set does not."""
    return (
        isinstance(called, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id == "np"
    )


def _negated(exponent: ast.expr) -> ast.expr:
    if isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub):
        return exponent.operand
    return ast.copy_location(ast.UnaryOp(ast.USub(), exponent), exponent)


def _joins_text(node: ast.BinOp | ast.AugAssign) -> bool:
    sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )


def _first_line(owner: ast.FunctionDef | ast.ClassDef) -> int:
    """Where Python says the code begins: at the first decorator."""
    return min([owner.lineno, *(decorator.lineno for decorator in owner.decorator_list)])


def _around_change(before: str, after: str) -> tuple[str, str]:
    """Both texts on one line, cut to what surrounds the place where they part."""
    before, after = " ".join(before.split()), " ".join(after.split())
    pairs = enumerate(zip(before, after, strict=False))
    parting = next((place for place, (one, other) in pairs if one != other), 0)
    first = max(0, parting - SHOWN // 2)

    def cut(text: str) -> str:
        piece = text[first : first + SHOWN]
        return f"{'…' if first else ''}{piece}{'…' if first + SHOWN < len(text) else ''}"

    return cut(before), cut(after)
