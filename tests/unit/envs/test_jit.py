"""Compiled loops are kept as long as the sources that they may be made from are the same."""

from __future__ import annotations

import ast
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import nurture_envs
from nurture_envs.jit import compile_once, forget_older, is_kept


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.nbi")}


def test_kept_loops_go_when_any_source_changes_and_the_sources_stay_as_they_are(
    tmp_path: Path,
) -> None:
    caller, callee, folder = tmp_path / "caller.py", tmp_path / "callee.py", tmp_path / "kept"
    caller.write_text("call")
    callee.write_text("one")
    folder.mkdir()
    names = {"caller.play-1.py311.nbi", "stranger.play-1.py311.nbi"}

    def compiled() -> None:
        for name in names:
            (folder / name).touch()

    compiled()
    forget_older(folder, [caller, callee])  # nobody knows what they were made from
    assert kept(folder) == {"stranger.play-1.py311.nbi"}
    compiled()
    forget_older(folder, [caller, callee])
    assert kept(folder) == names
    callee.write_text("two")
    stamp = caller.stat().st_mtime_ns
    forget_older(folder, [caller, callee])
    assert kept(folder) == {"stranger.play-1.py311.nbi"}
    assert caller.stat().st_mtime_ns == stamp


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    source.write_text("one")
    forget_older(source / "no folder", [source])


def test_a_loop_is_kept_when_its_own_file_lies_in_the_folder_of_kept_loops(tmp_path: Path) -> None:
    def play() -> None: ...

    loop = SimpleNamespace(py_func=play, stats=SimpleNamespace(cache_path=str(tmp_path)))
    for other in ("test_jit.player-1.py311.nbi", "other.play-1.py311.nbi", "test_jit.play-1.nbc"):
        (tmp_path / other).touch()
    assert not is_kept(loop)
    (tmp_path / "test_jit.play-9.py311.nbi").touch()
    assert is_kept(loop)


def uncompiled(folder: Path, compiled: Event) -> SimpleNamespace:
    def play() -> None: ...

    stats = SimpleNamespace(cache_path=str(folder))
    loop = SimpleNamespace(py_func=play, stats=stats, compile=lambda signature: compiled.set())
    compile_once(loop)
    return loop


def test_a_loop_that_another_process_compiles_is_waited_for(tmp_path: Path) -> None:
    compiled, other = Event(), Event()
    lock = tmp_path / "test_jit.play.lock"
    with closing(sqlite3.connect(lock, isolation_level=None)) as held:
        held.execute("BEGIN EXCLUSIVE")
        Thread(target=uncompiled(tmp_path, compiled).compile, args=("f8",)).start()
        assert not compiled.wait(0.2)
    assert compiled.wait(60.0)
    uncompiled(tmp_path / "no folder", other).compile("f8")  # where no lock can be, nobody waits
    assert other.is_set()


def test_loops_that_have_no_way_in_are_called_by_loops_alone() -> None:
    """A call from Python would end the process."""
    sources = [*Path(nurture_envs.__file__).parent.rglob("*.py")]
    found = {path: called_by_python(ast.parse(path.read_text("utf-8"))) for path in sources}
    assert {path.name: names for path, names in found.items() if names} == {}
    assert called_by_python(ast.parse(_WRONG)) == {"_loop"}


_WRONG = """
@_jit
def _loop(): ...
@_jit
def loop(): _loop()
def python(): loop(); _loop()
"""


def called_by_python(module: ast.Module) -> set[str]:
    """Private loops of a module that functions which are no loops call."""
    functions = [one for one in ast.walk(module) if isinstance(one, ast.FunctionDef)]
    made = [{ast.unparse(one) for one in function.decorator_list} for function in functions]
    marks = ("jit", "inlined")
    loops = [
        function
        for function, names in zip(functions, made, strict=True)
        if any(mark in name for mark in marks for name in names)
    ]
    private = {one.name for one in loops if one.name.startswith("_")}
    plain = [one for one in functions if one not in loops]
    calls = [one for function in plain for one in ast.walk(function) if isinstance(one, ast.Call)]
    return private & {ast.unparse(one.func) for one in calls}
