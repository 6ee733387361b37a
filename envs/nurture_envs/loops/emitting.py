"""Traced functions written down as loops, which numba compiles and keeps between processes.

The loops run over rows of scratch memory, one row per number and `WIDTH` contacts long, in lanes
of a fixed count, so that the compiler can do many contacts at a time. What varies between worlds of
one structure (parameters, tables) is handed over; only the structure is compiled.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from nurture_envs.loops import maths
from nurture_envs.loops.loop_records import LANES, WIDTH
from nurture_envs.loops.signature import SIGNATURE
from nurture_envs.loops.tracing import Node, Recorder, UntraceableError
from nurture_envs.worlds import draw_loops

_TOGETHER = 400  # operations of one loop at most

_APART = {"table", "log", "log1p", "special_ndtri"}
_MATHS = ("exp", "exp2", "cos", "sigmoid", "ndtri", "pick", "whole_quotient")
_ARRAYS = {"float32": "f", "int64": "q", "bool": "b", "float64": "d"}


@dataclass(frozen=True, slots=True)
class Written:
    """A compiled function of a tile, and what to hand it."""

    run: Any  # of SIGNATURE: scratch f, q, b, d; constants f, d; tables f, q; contacts
    rows: dict[str, int]  # rows that each scratch array needs
    constants: tuple[NDArray[np.float32], NDArray[np.float64]]
    tables: tuple[NDArray[np.float32], NDArray[np.int64]]


class Writer:
    """Writes one traced function.

    Args:
        recorder: its nodes.
        rows: rows of each scratch array that are taken by inputs and outputs.
        results: where which node goes: (array, row, node).
    """

    def __init__(
        self, recorder: Recorder, rows: dict[str, int], results: Sequence[tuple[str, int, int]]
    ) -> None:
        self.recorder, self.rows = recorder, dict(rows)
        self.results = list(results)
        self.constants: dict[str, dict[float, int]] = {"float32": {}, "float64": {}}
        self.tables: dict[str, list[Any]] = {"f": [], "q": []}
        self._offsets: dict[int, int] = {}
        self._home: dict[int, tuple[str, int]] = {}  # nodes that have a row
        self._needed = self._reachable()

    def _reachable(self) -> list[int]:
        """Nodes that results depend on, in order."""
        reachable: set[int] = set()
        open_ = [node for _, _, node in self.results]
        while open_:
            place = open_.pop()
            if place not in reachable:
                reachable.add(place)
                open_ += _operands(self.recorder.nodes[place])
        return sorted(reachable)

    def reads(self, array: str, rows: range) -> bool:
        """Whether results depend on any of these rows."""
        nodes = (self.recorder.nodes[k] for k in self._needed)
        return any(
            n.op == "input" and n.arguments[0] == array and n.arguments[1] in rows for n in nodes
        )

    def source(self) -> str:
        """The text of the function `run`."""
        nodes = self.recorder.nodes
        body = self._draw_lines()
        work = [k for k in self._needed if nodes[k].op not in ("constant", "input", "uniform")]
        for k in self._needed:
            if nodes[k].op == "input":
                self._home[k] = nodes[k].arguments
        groups = self._groups(work)
        loops = [self._loop(group, groups[at + 1 :]) for at, group in enumerate(groups)]
        body += [line for loop in loops for line in loop]
        body += self._result_lines()
        head = ["size = (size + LANES - 1) // LANES * LANES"]
        head += [f"c{at} = cf[{at}]" for at in self.constants["float32"].values()] + [
            f"e{at} = cd[{at}]" for at in self.constants["float64"].values()
        ]
        lines = ["def run(f, q, b, d, cf, cd, tf, tq, size):", *(f"    {x}" for x in head + body)]
        return "\n".join(lines) + "\n"

    def _groups(self, work: list[int]) -> list[list[int]]:
        """Operations of one loop each; look-ups stand apart, because they hold up all others."""
        nodes, left, groups = self.recorder.nodes, list(work), []
        done = set(self._needed) - set(work)
        apart = False
        while left:
            group: list[int] = []
            for k in left:
                fits = (nodes[k].op in _APART) == apart
                if fits and all(o in done for o in _operands(nodes[k])) and len(group) < _TOGETHER:
                    group.append(k)
                    done.add(k)
            if group:
                groups.append(group)
            left = [k for k in left if k not in done]
            apart = not apart
        return groups

    def _draw_lines(self) -> list[str]:
        groups: dict[tuple[int, int, int], dict[int, int]] = {}
        for place in self._needed:
            node = self.recorder.nodes[place]
            if node.op == "uniform":
                key, step, stream, index = node.arguments
                groups.setdefault((key, step, stream), {})[index] = place
        lines = []
        for (key, step, stream), group in groups.items():
            base = self._new_row("int64")
            key_row = self.recorder.nodes[key].arguments[1]
            of_step = self.recorder.nodes[step]
            at = of_step.arguments[1] * WIDTH if of_step.op == "input" else -1
            fixed = 0 if of_step.op == "input" else of_step.arguments[0]
            lines.append(
                f"begin_draws(q, {_number(key_row * WIDTH)}, {_number(at)}, {_number(fixed)}, "
                f"{_number(stream)}, {_number(base * WIDTH)}, size)"
            )
            for pair in sorted({index // 2 for index in group}):
                high, low = self._new_row("float32"), self._new_row("float32")
                lines.append(
                    f"draw_pair(q, {_number(base * WIDTH)}, {_number(pair)}, f, "
                    f"{_number(high * WIDTH)}, {_number(low * WIDTH)}, size)"
                )
                for index, row in ((2 * pair, high), (2 * pair + 1, low)):
                    if index in group:
                        self._home[group[index]] = ("f", row)
        return lines

    def _new_row(self, kind: str) -> int:
        array = _ARRAYS[kind]
        self.rows[array] = self.rows.get(array, 0) + 1
        return self.rows[array] - 1

    def _loop(self, group: list[int], later: list[list[int]]) -> list[str]:
        """One loop; what later loops or results need goes to rows."""
        outside = {k for p in group for k in _operands(self.recorder.nodes[p])} - set(group)
        lines = [f"v{k} = {self._row(k)}" for k in sorted(outside) if k in self._home]
        for place in group:
            lines.append(f"v{place} = {self._expression(self.recorder.nodes[place])}")
        wanted = {node for _, _, node in self.results}
        wanted |= {k for other in later for p in other for k in _operands(self.recorder.nodes[p])}
        for place in group:
            if place in wanted:
                kind = self.recorder.nodes[place].kind
                self._home[place] = (_ARRAYS[kind], self._new_row(kind))
                array, row = self._home[place]
                lines.append(f"{array}[np.uintp({row * WIDTH}) + i] = v{place}")
        return _looped(lines)

    def _result_lines(self) -> list[str]:
        lines = []
        for array, row, place in self.results:
            value = self._row(place) if place in self._home else self._value(place)
            lines.append(f"{array}[np.uintp({row * WIDTH}) + i] = {value}")
        return _looped(lines)

    def _value(self, place: int) -> str:
        node = self.recorder.nodes[place]
        if node.op == "constant":
            return self._constant(node)
        return f"v{place}"

    def _row(self, place: int) -> str:
        array, row = self._home[place]
        return f"{array}[np.uintp({row * WIDTH}) + i]"

    def _constant(self, node: Node) -> str:
        value = node.arguments[0]
        if node.kind in ("bool", "int64"):
            return f"np.int64({value})" if node.kind == "int64" else str(bool(value))
        known = self.constants[node.kind]
        return ("c" if node.kind == "float32" else "e") + str(known.setdefault(value, len(known)))

    def _expression(self, node: Node) -> str:
        if node.op == "table":
            number, place = node.arguments
            array = "f" if node.kind == "float32" else "q"
            expression = f"t{array}[np.uintp({self._offset(number, array)} + {self._value(place)})]"
            return f"{expression} != 0" if node.kind == "bool" else expression
        values = [self._value(place) for place in node.arguments]
        if node.op == "cast":
            source = self.recorder.nodes[node.arguments[0]].kind
            return _cast(values[0], source, node.kind)
        if node.op == "where":
            return f"pick({values[2]}, {values[0]}, {values[1]})"
        form = _FORMS.get((node.op, node.kind)) or _FORMS.get((node.op, ""))
        if form is None:
            raise UntraceableError(f"cannot be written as a loop: {node.op} of {node.kind}")
        return form.format(*values)

    def _offset(self, number: int, array: str) -> int:
        if number not in self._offsets:
            table = self.recorder.tables[number].detach().cpu().reshape(-1)
            self._offsets[number] = len(self.tables[array])
            self.tables[array] += table.to(torch.float64 if array == "f" else torch.int64).tolist()
        return self._offsets[number]

    def written(self) -> Written:
        """The compiled function."""
        source = self.source()
        known = self.constants
        return Written(
            compiled(source),
            self.rows,
            (np.array([*known["float32"], 0.0], np.float32), np.array([*known["float64"], 0.0])),
            (np.array([*self.tables["f"], 0.0], np.float32), np.array([*self.tables["q"], 0])),
        )


def _number(value: int) -> str:
    """A whole number that is no literal: of literals numba compiles a callee for each."""
    return f"np.int64({value})"


def _looped(lines: list[str]) -> list[str]:
    head = [
        "for at in range(np.uintp(0), np.uintp(size), np.uintp(LANES)):",
        "    for i in range(at, at + np.uintp(LANES)):",
    ]
    return head + [f"        {line}" for line in lines] if lines else []


def _operands(node: Node) -> list[int]:
    """The nodes a node needs."""
    if node.op in ("input", "constant"):
        return []
    if node.op == "table":
        return [node.arguments[1]]
    if node.op == "uniform":
        return list(node.arguments[:2])
    return list(node.arguments)


def _cast(value: str, source: str, target: str) -> str:
    if target == "bool":
        return f"{value} != 0"
    number = {"float32": "np.float32", "float64": "np.float64", "int64": "np.int64"}[target]
    if source == "bool":
        return f"pick({value}, {number}(1), {number}(0))"
    return f"{number}({value})"


# The text of an operation on numbers, by the kind of its result where that matters.
_FORMS: dict[tuple[str, str], str] = {
    ("add", ""): "{0} + {1}",
    ("sub", ""): "{0} - {1}",
    ("mul", ""): "{0} * {1}",
    ("add", "bool"): "{0} | {1}",
    ("mul", "bool"): "{0} & {1}",
    ("true_divide", ""): "{0} / {1}",
    ("floor_divide", "int64"): "whole_quotient({0}, {1})",
    ("remainder", ""): "{0} % {1}",
    ("lt", ""): "{0} < {1}",
    ("gt", ""): "{0} > {1}",
    ("le", ""): "{0} <= {1}",
    ("ge", ""): "{0} >= {1}",
    ("eq", ""): "{0} == {1}",
    ("ne", ""): "{0} != {1}",
    ("and", ""): "{0} & {1}",
    ("or", ""): "{0} | {1}",
    ("xor", ""): "{0} ^ {1}",
    ("lshift", ""): "{0} << {1}",
    ("rshift", ""): "{0} >> {1}",
    ("invert", ""): "~{0}",
    ("invert", "bool"): "not {0}",
    ("neg", ""): "-{0}",
    ("abs", ""): "abs({0})",
    ("minimum", ""): "min({0}, {1})",
    ("maximum", ""): "max({0}, {1})",
    ("exp", "float32"): "exp({0})",
    ("exp2", "float32"): "exp2({0})",
    ("cos", "float32"): "cos({0})",
    ("sigmoid", "float32"): "sigmoid({0})",
    ("log", ""): "np.log({0})",
    ("log1p", ""): "np.log1p({0})",
    ("floor", ""): "np.floor({0})",
    ("round", ""): "np.rint({0})",
    ("special_ndtri", "float64"): "ndtri({0})",
}


_HEAD = f"""import numpy as np
from nurture_envs.worlds.draw_loops import begin_draws, draw_pair
from nurture_envs.loops.maths import {", ".join(_MATHS)}

LANES = {LANES}

"""


def compiled(source: str) -> Any:
    """The function `run` of a text, for loops to call; kept on disk where that is possible."""
    text = _HEAD + source
    path = _kept(text)
    name = f"nurture_envs_{path.stem}" if path is not None else "nurture_envs_world"
    spec = spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = module_from_spec(spec)
    if path is not None:
        sys.modules[name] = module  # where numba looks when it takes loops from the disk
        module.__file__ = str(path)
    exec(compile(text, str(path or "<world>"), "exec"), vars(module))
    try:
        return numba.cfunc(SIGNATURE, cache=path is not None, error_model="numpy")(module.run)
    except (EOFError, pickle.UnpicklingError):  # what numba kept is broken
        return numba.cfunc(SIGNATURE, error_model="numpy")(module.run)


def _kept(source: str) -> Path | None:
    """Where a text is kept for numba to keep its compiled loops beside; None: nowhere."""
    needed = [Path(str(module.__file__)).read_text("utf-8") for module in (maths, draw_loops)]
    name = hashlib.sha256("\n".join([source, *needed]).encode()).hexdigest()[:24]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(home) / "nurture_envs" / f"world_{name}.py"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _own(path.parent):
            return None
        if not path.is_file():
            unfinished = path.with_suffix(f".{os.getpid()}")
            unfinished.write_text(source, "utf-8")
            unfinished.replace(path)
    except OSError:
        return None
    return path


def _own(folder: Path) -> bool:
    """Whether nobody else can put compiled loops there, which are run as they are found."""
    if not hasattr(os, "getuid"):
        return True
    for place in (folder, folder / "__pycache__"):
        if place.exists():
            known = place.stat()
            if known.st_uid != os.getuid() or known.st_mode & stat.S_IWOTH:
                return False
    return True
