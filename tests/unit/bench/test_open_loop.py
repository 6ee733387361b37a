"""Callers who do not wait for others' answers, against real HTTP servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from benchmarks.open_loop import open_loop


@contextmanager
def server(answer: Callable[[bytes], int], stays: bool = True) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status = answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")
            self.close_connection = not stays

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}/ask"
        finally:
            listening.shutdown()
            thread.join()


def test_requests_come_though_none_is_answered() -> None:
    together = threading.Barrier(20)  # nobody is answered before the last has come

    def answer(_: bytes) -> int:
        together.wait(timeout=60.0)
        return 200

    with server(answer) as url:
        found = open_loop([url], [b"{}"] * 20, 200.0, 0.1, np.random.default_rng(0))
    assert (found.answers, found.refused) == (20, 0)
    assert found.p50 <= found.p99 <= found.longest


def test_each_body_is_sent_once_and_what_is_refused_is_counted() -> None:
    told: list[bytes] = []

    def answer(body: bytes) -> int:
        told.append(body)
        return 503 if body == b"2" else 200

    with server(answer) as first, server(answer) as second:
        bodies = [str(i).encode() for i in range(6)]
        found = open_loop([first, second], bodies, 600.0, 0.01, np.random.default_rng(0))
    assert sorted(told) == bodies
    assert (found.answers, found.refused) == (6, 1)


def test_a_request_waits_from_the_moment_that_it_is_due() -> None:
    release, came = threading.Event(), threading.Semaphore(0)

    def answer(_: bytes) -> int:
        came.release()
        release.wait(timeout=60.0)
        return 200

    def let_go() -> None:
        for _ in range(8):
            came.acquire()
        release.set()

    with server(answer) as url:
        freeing = threading.Thread(target=let_go)
        freeing.start()
        found = open_loop([url], [b"{}"] * 8, 20.0, 0.4, np.random.default_rng(1))
        freeing.join()
    moments = np.cumsum(np.random.default_rng(1).exponential(1 / 20.0, 8))
    # All are answered once the last has come: the first has waited for all the others.
    assert found.longest >= 1e3 * (moments[-1] - moments[0])


def test_a_server_that_hangs_up_after_its_answer_is_asked_anew() -> None:
    with server(lambda _: 200, stays=False) as url:
        found = open_loop([url], [b"{}"] * 4, 10.0, 0.4, np.random.default_rng(0))
    assert (found.answers, found.refused) == (4, 0)
