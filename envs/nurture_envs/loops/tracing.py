"""What a function of torch does for one contact: the record that loops are written from.

A traced tensor stands for arrays [..., n] of which every contact is treated alike. It carries an
example with n = 1, on which torch itself says shapes and types, and for every element the node
that makes it. Operations that only move elements move the nodes; the others make new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nurture_envs.errors import SimulationError
from nurture_envs.worlds.draws import uniforms


class UntraceableError(SimulationError):
    """A world does something that cannot be written as a loop over contacts."""


@dataclass(frozen=True, slots=True)
class Node:
    """One number per contact.

    `op` names what makes it: `input` (arguments: array, row), `constant` (value), `table` (number
    of the table, node of the place), `uniform` (node of the key, node of the step, stream, draw),
    `cast` or an operation of `OPERATIONS`, whose arguments are nodes.
    """

    op: str
    kind: str  # bool, int64, float32 or float64
    arguments: tuple[Any, ...]


@dataclass(slots=True)
class Recorder:
    """The nodes of a trace, every one once, in an order in which they can be worked out."""

    nodes: list[Node] = field(default_factory=list)
    tables: list[Tensor] = field(default_factory=list)
    _places: dict[Node, int] = field(default_factory=dict)
    _tables: dict[int, int] = field(default_factory=dict)

    def add(self, op: str, kind: str, *arguments: Any) -> int:
        """Position of a node."""
        node = Node(op, kind, arguments)
        if node not in self._places:
            self._places[node] = len(self.nodes)
            self.nodes.append(node)
        return self._places[node]

    def table(self, values: Tensor) -> int:
        """Position of a table that nodes look up."""
        if id(values) not in self._tables:
            self._tables[id(values)] = len(self.tables)
            self.tables.append(values)
        return self._tables[id(values)]

    def traced(self, example: Tensor, places: Tensor) -> Traced:
        """A tensor whose elements are nodes."""
        made = example.as_subclass(Traced)
        made.recorder, made.places = self, places
        return made

    def input(self, array: str, first_row: int, example: Tensor) -> Traced:
        """A tensor whose elements are rows of one of the arrays a loop is handed."""
        kind = _kind(example.dtype)
        rows = range(first_row, first_row + example.numel())
        places = torch.tensor([self.add("input", kind, array, row) for row in rows])
        return self.traced(example, places.reshape(example.shape))

    def cast(self, place: int, kind: str) -> int:
        """The same number as another kind; constants turn into constants."""
        node = self.nodes[place]
        if node.kind == kind:
            return place
        if node.op == "constant":
            return self.constant(node.arguments[0], kind)
        return self.add("cast", kind, place)

    def constant(self, value: Any, kind: str) -> int:
        """A number every contact has."""
        exact = torch.tensor(value, dtype=getattr(torch, kind)).item()
        return self.add("constant", kind, exact)

    def places_of(self, value: Any) -> Tensor:
        """The nodes of a traced tensor, or of one that is the same for every contact."""
        if isinstance(value, Traced):
            return value.places
        if not isinstance(value, Tensor):
            kind = "bool" if isinstance(value, bool) else "float64"
            kind = "int64" if type(value) is int else kind
            return torch.tensor(self.constant(value, kind))
        if value.dim() and value.shape[-1] != 1:
            raise UntraceableError(
                f"expected a tensor that is the same for every contact, got {tuple(value.shape)}"
            )
        kind = _kind(value.dtype)
        made = [self.constant(one, kind) for one in value.reshape(-1).tolist()]
        return torch.tensor(made, dtype=torch.int64).reshape(value.shape)


class Traced(torch.Tensor):
    """A tensor of which it is known how it was made; see `Recorder`."""

    recorder: Recorder
    places: Tensor  # int64, as long as the example

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do to the example what torch would do, and note what that is."""
        given = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            name = _NAMES.get(getattr(func, "__name__", ""), getattr(func, "__name__", ""))
            if _has_tensor(tuple(given.values())):
                raise UntraceableError(f"cannot be written as a loop: {name}, tensors by keyword")
            recorder = next(traced_among(args)).recorder
            if func is uniforms:
                return _draws(recorder, *args)
            if name == "__setitem__":
                return _set(recorder, *args)
            example = func(*map(_example, _deep(args)), **given)
            if not _has_tensor(example):
                if name not in _ASKED:
                    raise UntraceableError(f"cannot be written as a loop: {name}, of one contact")
                return example
            if name in _MOVES:
                moved = _moved(recorder, func, args, given, example)
                return _along_contacts(name, moved)
            if not isinstance(example, Tensor):
                raise UntraceableError(f"cannot be written as a loop: {name}, of several results")
            return recorder.traced(example, _made(recorder, name, args, given, example))


def _along_contacts(name: str, moved: Any) -> Any:
    """Results whose last dimension is still that of contacts."""
    for one in moved if isinstance(moved, tuple) else (moved,):
        if one.places.dim() == 0:
            raise UntraceableError(f"cannot be written as a loop: {name}, of one contact")
    return moved


def _set(recorder: Recorder, target: Tensor, index: Any, value: Any) -> None:
    """Elements that are set; views of the same memory see it, as torch's do."""
    where = index if isinstance(index, tuple) else (index,)
    if not isinstance(target, Traced) or _has_tensor(where):
        raise UntraceableError(
            "cannot be written as a loop: setting elements of a constant, or where a tensor says"
        )
    target.places[index] = recorder.places_of(_cast_all(recorder, value, target.dtype))


def _deep(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(list(a) if isinstance(a, tuple) and a and isinstance(a[0], Tensor) else a
                 for a in args)  # fmt: skip


def traced_among(args: tuple[Any, ...]) -> Any:
    for one in args:
        if isinstance(one, Traced):
            yield one
        elif isinstance(one, list | tuple):
            yield from traced_among(tuple(one))


def _example(value: Any) -> Any:
    if isinstance(value, Traced):
        return value.as_subclass(Tensor)
    if isinstance(value, list):
        return [_example(one) for one in value]
    return value


def _has_tensor(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_has_tensor(one) for one in value)
    return isinstance(value, Tensor)


def _kind(dtype: torch.dtype) -> str:
    names = {
        torch.bool: "bool",
        torch.uint8: "int64",  # bytes of booleans, about to become numbers
        torch.int32: "int64",
        torch.int64: "int64",
        torch.float32: "float32",
        torch.float64: "float64",
    }
    if dtype not in names:
        raise UntraceableError(f"expected bool, int64, float32 or float64, got {dtype}")
    return names[dtype]


# Operations of several numbers of one kind; what is compared is cast to the common kind.
OPERATIONS = {
    "add", "sub", "mul", "true_divide", "floor_divide", "remainder", "lt", "gt", "le", "ge", "eq",
    "ne", "and", "or", "xor", "lshift", "rshift", "minimum", "maximum", "where", "invert", "neg",
    "abs", "exp", "exp2", "sigmoid", "cos", "log", "log1p", "floor", "round", "special_ndtri",
}  # fmt: skip
_COMPARISONS = {"lt", "gt", "le", "ge", "eq", "ne"}
_NAMES = {
    "__add__": "add", "__radd__": "add", "__sub__": "sub", "__mul__": "mul",
    "__rmul__": "mul", "__truediv__": "true_divide", "div": "true_divide",
    "__floordiv__": "floor_divide", "__mod__": "remainder", "__lt__": "lt", "__gt__": "gt",
    "__le__": "le", "__ge__": "ge", "__eq__": "eq", "__ne__": "ne", "__and__": "and",
    "__rand__": "and", "__or__": "or", "__ror__": "or", "__xor__": "xor", "__lshift__": "lshift",
    "__rshift__": "rshift", "__invert__": "invert", "bitwise_not": "invert", "__neg__": "neg",
    "__abs__": "abs", "absolute": "abs",
}  # fmt: skip
_REVERSED = {
    "__rsub__": "sub",
    "rsub": "sub",
    "__rtruediv__": "true_divide",
    "__rdiv__": "true_divide",
    "__rlshift__": "lshift",
}
_MOVES = {"__getitem__", "unbind", "view", "reshape", "stack", "cat", "clone", "split"}
_ASKED = {"__get__", "dim", "size", "numel", "__len__"}  # of shapes and types
_CASTS = {"to", "long", "float", "double", "bool"}


def _draws(recorder: Recorder, keys: Traced, step: Any, stream: int, count: int) -> Traced:
    """Draws, whose loops read keys and bins as they are handed over."""
    key = int(recorder.places_of(keys)[0])
    bins = int(recorder.places_of(step).reshape(-1)[0])
    whole = recorder.nodes[bins].kind == "int64"
    if (
        not whole
        or recorder.nodes[key].op != "input"
        or (recorder.nodes[bins].op not in ("input", "constant"))
    ):
        raise UntraceableError(
            "expected draws by a contact's own key, at its bin or at a fixed step"
        )
    made = [recorder.add("uniform", "float32", key, bins, stream, k) for k in range(count)]
    return recorder.traced(torch.full((count, 1), 0.5), torch.tensor(made)[:, None])


def _moved(recorder: Recorder, func: Any, args: Any, given: Any, example: Any) -> Any:
    """Elements in other places; a view as another type is a cast."""
    if func is torch.Tensor.view and isinstance(args[1], torch.dtype):
        if args[0].dtype != torch.bool:
            raise UntraceableError(f"cannot be written as a loop: {args[0].dtype} as {args[1]}")
        return recorder.traced(example, _cast_all(recorder, args[0], args[1]).places)
    if any(isinstance(one, Traced) for one in args[1:]):  # a place that depends on the contact
        return recorder.traced(example, _looked_up(recorder, args[0], args[1], wraps=True))

    def places(value: Any) -> Any:
        if isinstance(value, Traced):
            return value.places
        if isinstance(value, Tensor):
            return recorder.places_of(value)
        if isinstance(value, list | tuple) and _has_tensor(value):
            return [places(one) for one in value]
        return value

    moved = func(*map(places, args), **given)  # views of places where torch makes views
    if isinstance(moved, Tensor):
        return recorder.traced(example, moved)
    return tuple(recorder.traced(e, m) for e, m in zip(example, moved, strict=True))


def _cast_all(recorder: Recorder, value: Any, dtype: torch.dtype) -> Traced:
    places = recorder.places_of(value)
    kind = _kind(dtype)
    cast = [recorder.cast(place, kind) for place in places.reshape(-1).tolist()]
    example = torch.zeros(places.shape, dtype=dtype)
    return recorder.traced(example, torch.tensor(cast).reshape(places.shape))


def _looked_up(recorder: Recorder, table: Tensor, place: Traced, wraps: bool = False) -> Tensor:
    """Elements of a table; places below 0 count from its end where it `wraps`."""
    if isinstance(table, Traced) or table.dim() != 1:
        raise UntraceableError("expected a table of one dimension that no contact changes")
    if place.dtype == torch.bool:
        raise UntraceableError("cannot be written as a loop: elements where a condition holds")
    number, size = recorder.table(table), len(table)
    places = place.places.reshape(-1).tolist()
    if wraps:
        places = [_wrapped(recorder, one, size) for one in places]
    nodes = [recorder.add("table", _kind(table.dtype), number, one) for one in places]
    return torch.tensor(nodes).reshape(place.places.shape)


def _wrapped(recorder: Recorder, place: int, size: int) -> int:
    """A place that may lie below 0, kept inside the table."""
    whole = [recorder.constant(number, "int64") for number in (0, size, size - 1)]
    below = recorder.add("lt", "bool", place, whole[0])
    from_end = recorder.add("add", "int64", place, whole[1])
    moved = recorder.add("where", "int64", from_end, place, below)
    return recorder.add(
        "minimum", "int64", recorder.add("maximum", "int64", moved, whole[0]), whole[2]
    )


def _made(recorder: Recorder, name: str, args: Any, given: Any, example: Tensor) -> Tensor:
    """Nodes of the result of an operation on every element."""
    if name == "index_select":
        return _looked_up(recorder, args[0], args[2])
    if name in _CASTS:
        same = example.dtype == args[0].dtype  # torch gives the same memory then
        return args[0].places if same else _cast_all(recorder, args[0], example.dtype).places
    if name in ("zeros_like", "ones_like", "full_like"):
        kind = _kind(example.dtype)
        made = [recorder.constant(one, kind) for one in example.reshape(-1).tolist()]
        return torch.tensor(made).reshape(example.shape)
    if name in ("clamp", "relu"):
        return _clamped(recorder, name, args, given, example)
    if name == "searchsorted":
        return _counted_below(recorder, args, given)
    values = tuple(args[::-1]) if name in _REVERSED else args
    name = _REVERSED.get(name, name)
    if name not in OPERATIONS or given:
        raise UntraceableError(f"cannot be written as a loop: {name}({given})")
    if example.dtype in (torch.uint8, torch.int32):  # which wrap around sooner than loops do
        raise UntraceableError(f"cannot be written as a loop: {name} of {example.dtype}")
    if name == "where":
        return _elementwise(recorder, name, _kind(example.dtype), values[1:], values[0])
    common = _kind(example.dtype)
    if name in _COMPARISONS:
        common = _kind(torch.result_type(_example(values[0]), _example(values[1])))
    return _elementwise(recorder, name, common, values, None)


def _elementwise(recorder: Recorder, name: str, common: str, values: Any, condition: Any) -> Tensor:
    kind = "bool" if name in _COMPARISONS else common
    rows = [recorder.places_of(value) for value in values]
    if condition is not None:
        rows.append(recorder.places_of(condition))
    shape = np.broadcast_shapes(*(tuple(row.shape) for row in rows))
    rows = [row.expand(shape) for row in rows]
    made = []
    for places in zip(*(row.reshape(-1).tolist() for row in rows), strict=True):
        cast = [recorder.cast(place, common) for place in places[: len(values)]]
        made.append(recorder.add(name, kind, *cast, *places[len(values) :]))
    return torch.tensor(made).reshape(rows[0].shape)


def _clamped(recorder: Recorder, name: str, args: Any, given: Any, example: Tensor) -> Tensor:
    low = args[1] if len(args) > 1 else given.get("min")
    high = args[2] if len(args) > 2 else given.get("max")
    if name == "relu":
        low = 0.0
    if _has_tensor((low, high)) or not isinstance(args[0], Traced):
        raise UntraceableError("expected numbers as bounds; take torch.minimum and torch.maximum")
    kind, places = _kind(example.dtype), args[0].places
    made = []
    for place in places.reshape(-1).tolist():
        node = place
        if low is not None:
            node = recorder.add("maximum", kind, node, recorder.constant(low, kind))
        if high is not None:
            node = recorder.add("minimum", kind, node, recorder.constant(high, kind))
        made.append(node)
    return torch.tensor(made).reshape(places.shape)


def _counted_below(recorder: Recorder, args: Any, given: Any) -> Tensor:
    """How many of a few sorted numbers are at most each element."""
    if not given.get("right") or args[0].dim() != 1 or isinstance(args[0], Traced):
        raise UntraceableError("expected searchsorted of one row of edges with right=True")
    made = []
    for place in args[1].places.reshape(-1).tolist():
        total = recorder.constant(0, "int64")
        for edge in args[0].tolist():
            below = recorder.add("le", "bool", recorder.constant(edge, "float64"), place)
            total = recorder.add("add", "int64", total, recorder.cast(below, "int64"))
        made.append(total)
    return torch.tensor(made).reshape(args[1].places.shape)
