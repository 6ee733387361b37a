"""Work done side by side: the caller and helper processes take what is begun, first come first.

Results do not depend on who does what. A helper is a process of its own because most work holds
the interpreter's lock.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from threadpoolctl import threadpool_limits

from nurture_envs.errors import NurtureError
from nurture_rl.progress import PROGRESS

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Say

Result = TypeVar("Result")
_MOST = 4  # workers, unless more are asked for: each holds a copy of the data
_GONE = (EOFError, BrokenPipeError, ConnectionResetError)  # who was at the pipe's other end
_PATIENCE = 10.0  # seconds until a helper that was told to leave is killed


def workers_of(asked: int | None) -> int:
    """Processes that work at a time: as many as asked for; None: as there are cores, at most 4."""
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _MOST)


class Begun(Generic[Result]):
    """Work that somebody does, sooner or later, and its result."""

    def __init__(
        self, crew: Crew, name: str, work: Callable[..., Result], given: tuple[Any, ...]
    ) -> None:
        self.name = name
        self._crew, self._work, self._given = crew, work, given
        self._claim = threading.Lock()
        self._outcome: Future[Result] = Future()

    def result(self) -> Result:
        """What the work made; while another does it, the caller does what else is begun.

        Raises:
            Exception: what the work raised, wherever it was done.
            ChildProcessError: the helper was killed.
        """
        self.do_here()
        while not self._outcome.done() and self._crew.help_once():
            pass
        return self._outcome.result()

    def do_here(self) -> bool:
        """Do the work in this process, unless somebody does it already; whether it was done."""
        return self._done_by(lambda: self._work(*self._given))

    def do_there(self, helper: _Helper) -> bool:
        """Have a helper do the work, unless somebody does it already; whether it was done."""
        return self._done_by(lambda: helper.do(self.name, self._work, self._given))

    def _done_by(self, make: Callable[[], Result]) -> bool:
        if not self._claim.acquire(blocking=False):
            return False
        try:
            self._outcome.set_result(make())
        except Exception as error:
            self._outcome.set_exception(error)
        return True


class Crew:
    """The caller and its helpers; a context that ends with the helpers gone.

    Args:
        workers: processes that work at a time, the caller among them; 1: nobody helps.
        say: is told what helpers say, with the name of their work.

    Attributes:
        say: the same for whoever is given it, in any process.
    """

    def __init__(self, workers: int = 1, say: Say = lambda line: None) -> None:
        self.workers, self.say = workers, Told(say)
        self._open: deque[Begun[Any]] = deque()
        self._helpers = [_Helper(say) for _ in range(workers - 1)]
        self._idle: SimpleQueue[_Helper] = SimpleQueue()
        for helper in self._helpers:
            self._idle.put(helper)
        self._drivers = ThreadPoolExecutor(workers - 1) if workers > 1 else None

    def begin(self, name: str, work: Callable[..., Result], *given: Any) -> Begun[Result]:
        """Hand out work; without helpers it waits until its result is asked for.

        Args:
            name: what the work is, for its lines.
            work: a function of a module; it must not change what it is given.
            given: what it is called with; helpers get copies.
        """
        one = Begun(self, name, work, given)
        if self._drivers is not None:
            self._open.append(one)
            self._drivers.submit(self._drive, one)
        return one

    def help_once(self) -> bool:
        """Do here the first work that nobody has begun; whether there was any."""
        while self._open:
            if self._open.popleft().do_here():
                return True
        return False

    def _drive(self, one: Begun[Any]) -> None:
        helper = self._idle.get()
        try:
            one.do_there(helper)
        finally:
            self._idle.put(helper)

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drivers is not None:
            self._drivers.shutdown(wait=False, cancel_futures=True)
            for helper in self._helpers:
                helper.process.terminate()
            for helper in self._helpers:
                helper.leave()
            self._drivers.shutdown(wait=True)


class Told:
    """Says lines; a copy in a helper says them to the helper's caller."""

    caller: Connection  # of this process, where it is a helper

    def __init__(self, say: Say) -> None:
        self._say = say

    def __call__(self, line: str) -> None:
        """Say a line."""
        self._say(line)

    def __reduce__(self) -> tuple[Callable[[], Told], tuple[()]]:
        """What is copied says nothing here."""
        return _to_caller, ()


def _to_caller() -> Told:
    return Told(lambda line: _send(Told.caller, ("line", line)))


class _Helper:
    """A process that does one piece of work after the other."""

    def __init__(self, say: Say) -> None:
        # Not forked: a fork of a process with threads may find a lock that nobody will release.
        context = multiprocessing.get_context("spawn")
        self._say = say
        self._here, there = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(there, torch.get_num_threads()), daemon=True
        )
        self.process.start()
        there.close()  # the helper alone holds this end: what ends with it is noticed

    def do(self, name: str, work: Callable[..., Result], given: tuple[Any, ...]) -> Result:
        """Send the work, pass on what is said, and return or raise what comes of it."""
        try:
            _send(self._here, (work, given))
            kind, content = _received(self._here)
            while kind in ("line", "progress"):
                self._say(_named(name, content)) if kind == "line" else PROGRESS.info(content)
                kind, content = _received(self._here)
        except _GONE as error:
            self.process.join(_PATIENCE)
            raise ChildProcessError(
                f"{name}: expected a result, but the process that worked on it ended with code "
                f"{self.process.exitcode}; where memory is short, run with workers=1"
            ) from error
        if kind == "error":
            raise content
        made: Result = content
        return made

    def leave(self) -> None:
        """Wait until a process that was told to leave is gone; kill it where it stays."""
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _send(pipe: Connection, content: Any) -> None:
    """Send a copy; `pipe.send` would share torch's memory, a file descriptor for each tensor."""
    pipe.send_bytes(pickle.dumps(content))


def _received(pipe: Connection) -> Any:
    return pickle.loads(pipe.recv_bytes())


def _named(name: str, line: str) -> str:
    """A line of a stage's work, which is indented, with the name of the work."""
    return f"  {name}: {line.strip()}" if line.startswith("  ") else line


def _serve(caller: Connection, threads: int) -> None:
    """A helper's life: do what comes, until the caller is gone or says so."""
    # The keyboard's interrupt reaches the caller as well, which tells its helpers to leave; they
    # do so by an exception, so that no unfinished folder stays.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    Told.caller = caller
    torch.set_num_threads(threads)
    PROGRESS.addHandler(_Passed(caller))
    PROGRESS.setLevel(logging.INFO)
    PROGRESS.propagate = False

    with threadpool_limits(threads), suppress(*_GONE):
        while True:
            work, given = _received(caller)
            try:
                answer = ("result", work(*given))
            except Exception as error:
                answer = ("error", _sendable(error))
            _send(caller, answer)


class _Passed(logging.Handler):
    """Passes on what a helper is doing."""

    def __init__(self, caller: Connection) -> None:
        super().__init__(logging.INFO)
        self._caller = caller

    def emit(self, record: logging.LogRecord) -> None:
        _send(self._caller, ("progress", record.getMessage()))


def _sendable(error: Exception) -> Exception:
    """The error as it is, where a pipe can carry it, else its text; with the helper's traceback."""
    told = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        ours = isinstance(error, NurtureError)
        error = (
            NurtureError(str(error)) if ours else RuntimeError(f"{type(error).__name__}: {error}")
        )
    error.add_note(f"in a helper process:\n{told}")
    return error
