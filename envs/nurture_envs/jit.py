"""numba's `njit` with this package's settings; importing it needs numba.

numba keeps a compiled loop on disk until the loop's own file changes, with what it calls from
other files compiled in. Here all kept loops go as soon as any of these files has changed, and
processes that need a loop at the same time compile it once.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.compiler_lock import global_compiler_lock

_ROOT = Path(__file__).parent
_FILES = sorted(
    [
        *(_ROOT / "loops").glob("*.py"),
        _ROOT / "worlds" / "draw_loops.py",
        _ROOT / "guardrails" / "rules.py",
        _ROOT / "actions.py",
    ]
)
_MARK = "nurture_envs.sources"  # names the sources that the loops kept beside it were made from
_checked: set[str] = set()  # folders
_PATIENCE = 600.0  # seconds that a process waits for another one's loop, then it compiles its own


def jit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator for loops that hold no lock of the interpreter; `options` as of `numba.njit`.

    A loop whose name begins with `_` is for other loops alone. It gets no way in for the
    interpreter, which would take as long to compile as the loop; called from Python it crashes.
    """

    def made(function: Callable[..., Any]) -> Any:
        private = function.__name__.startswith("_")
        chosen = {"no_cpython_wrapper": private, "no_cfunc_wrapper": True, **options}
        loop = numba.njit(nogil=True, cache=True, error_model="numpy", **chosen)(function)
        folder = loop.stats.cache_path
        if folder not in _checked:
            _checked.add(folder)
            forget_older(Path(folder), _FILES)
        compile_once(loop)
        return loop

    return made


def compile_once(loop: Any) -> None:
    """Have a loop compiled by one process at a time: who waited finds it kept.

    Each loop has a lock of its own, which is held while the loops that it calls are compiled. No
    loop calls itself.

    Args:
        loop: as numba made it, kept on disk.
    """
    module, compiled = Path(loop.py_func.__code__.co_filename).stem, loop.compile
    lock = Path(loop.stats.cache_path) / f"{module}.{loop.py_func.__name__}.lock"

    def alone(signature: Any) -> Any:
        # A thread that waits for the compiler must not hold a loop that the compiling one needs.
        with global_compiler_lock, _held(lock):
            return compiled(signature)

    loop.compile = alone


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs, where one can be made.

    The lock is SQLite's on an empty database: no child process inherits it, and it is free again
    when its process is killed.
    """
    with ExitStack() as held:
        with suppress(sqlite3.Error):
            made = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            held.enter_context(closing(made))
            made.execute("BEGIN EXCLUSIVE")
        yield


def is_kept(loop: Any) -> bool:
    """Whether a loop lies on disk, compiled from these very sources.

    Args:
        loop: as `jit` made it.
    """
    module = Path(loop.py_func.__code__.co_filename).stem
    return any(Path(loop.stats.cache_path).glob(f"{module}.{loop.py_func.__name__}-*.nbi"))


def forget_older(folder: Path, sources: list[Path]) -> None:
    """Delete the loops kept in a folder, unless they were made from these very sources.

    Args:
        folder: where numba keeps loops of these sources.
        sources: every file that a loop may be made from.
    """
    text = b"\0".join(source.read_bytes() for source in sources)
    made_from, mark = hashlib.sha256(text).hexdigest(), folder / _MARK
    with suppress(OSError):  # a folder that cannot be written keeps nothing either
        if mark.is_file() and mark.read_text("utf-8") == made_from:
            return
        names = {source.stem for source in sources}
        for kept in folder.glob("*.nbi"):
            if kept.name.split(".")[0] in names:
                kept.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        mark.write_text(made_from, "utf-8")
