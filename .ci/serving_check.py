"""Run by the serving gate in the slim environment: serve a bundle and ask for a decision."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ABSENT = ["torch", "numba", "mlflow", "matplotlib", "scipy", "gymnasium", "duckdb", "ibis"]
START_SECONDS = 60.0  # a cold import on a busy machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(method: str, url: str, body: Any) -> Any:
    """Send a JSON body and decode the answer; an HTTP error ends the check with its text."""
    data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, kind, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        sys.exit(f"{url} answered {error.code}: {error.read().decode(errors='replace')}")


def wait_until_healthy(base: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{base}/healthz", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"the server did not become healthy in {START_SECONDS:.0f} s:\n{log.read_text()}")


def actions_in(answer: Any) -> list[str]:
    """Every value of a key `action`, at any depth."""
    if isinstance(answer, list):
        return [action for item in answer for action in actions_in(item)]
    if isinstance(answer, dict):
        own = [answer["action"]] if isinstance(answer.get("action"), str) else []
        return own + [action for value in answer.values() for action in actions_in(value)]
    return []


def main(bundle: Path, work: Path, requests: Path) -> None:
    """Serve `bundle`, send each request of the file, require a known action in the last answer."""
    heavy = [name for name in ABSENT if find_spec(name) is not None]
    if heavy:
        sys.exit(f"a serving host must do without {heavy}; see requirements/serving.txt")
    from nurture_rl.release.bundle import load_bundle

    legal = set(load_bundle(bundle).catalog.ids)
    port, log, answer = free_port(), work / "server.log", None
    command = [sys.executable, "-I", "-m", "nurture_rl.cli", "serve", f"bundle={bundle}"]
    command += [f"store={work / 'store.db'}", f"port={port}", "simulated_clock=true"]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=work)
    try:
        base = f"http://127.0.0.1:{port}"
        wait_until_healthy(base, server, log)
        for step in json.loads(requests.read_text(encoding="utf-8")):
            answer = ask(step["method"], base + step["path"], step["body"])
            if isinstance(answer, dict) and answer.get("rejected"):
                sys.exit(f"{step['path']} rejected rows: {answer['rejected']}")
    finally:
        server.terminate()
        server.wait(timeout=30)
    chosen = actions_in(answer)
    if not chosen or not legal.issuperset(chosen):
        sys.exit(f"expected a decision with an action of the catalogue, got {answer}")
    print(f"decided {chosen} without {', '.join(ABSENT)}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
