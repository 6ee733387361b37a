"""The server as users start it: it refuses bad bundles, stops when told, and loses nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import urllib.error
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path

import pytest

from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.pipeline.running_server import RunningServer, running
from tests.unit.release.bundles import small_bundle

_CONTACTS = 6000
_LOAD_SECONDS = 2.0


def _hammer(server: RunningServer, names: list[str], acknowledged: list[str]) -> None:
    """Ask for five contacts at a time until the server is gone; note what it answered."""
    for start in range(0, len(names), 5):
        asks = [
            {"contact_id": name, "request_id": f"r-{name}"} for name in names[start : start + 5]
        ]
        try:
            answer = server.send("POST", "/v1/decisions", {"contacts": asks})
        except (urllib.error.URLError, HTTPException, OSError):
            return
        acknowledged += [row["decision_id"] for row in answer["decisions"]]


def test_a_kill_in_mid_load_loses_no_acknowledged_decision(tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path / "bundle")
    names = [f"c-{i}" for i in range(_CONTACTS)]
    acknowledged: list[list[str]] = [[] for _ in range(4)]
    with running(tmp_path / "bundle", tmp_path / "store.db") as server:
        contacts = [{"contact_id": name, "consent": True} for name in names]
        server.send("PUT", "/v1/contacts", {"contacts": contacts})
        threads = [
            threading.Thread(target=_hammer, args=(server, names[i::4], acknowledged[i]))
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        time.sleep(_LOAD_SECONDS)
        server.kill()
        for thread in threads:
            thread.join()
    ids = [name for part in acknowledged for name in part]
    assert 20 < len(ids) < _CONTACTS  # killed while it was answering
    walk = verify_store(tmp_path / "store.db")  # as the kill left it
    assert (walk.broken_places, walk.seen["decision"] >= len(ids)) == ([], True)
    store = Store(tmp_path / "store.db")
    kept = store.decisions(ids)
    assert set(kept) == set(ids)
    assert all(replay(bundle, decision, store.seed) for decision in list(kept.values())[:200])
    store.close()


def test_a_restarted_server_gives_the_same_decision_again(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    ask = {"contacts": [{"contact_id": "ada", "request_id": "r-1"}], "now": "2027-03-01T00:00:00Z"}
    answers = []
    for _ in range(2):
        with running(tmp_path / "bundle", tmp_path / "store.db", "simulated_clock=true") as server:
            server.send("PUT", "/v1/contacts", {"contacts": [{"contact_id": "ada"}]})
            answers.append(server.send("POST", "/v1/decisions", ask))
        assert server.process.returncode == 0  # stopped when told, not killed
    assert answers[0] == answers[1]


def test_a_store_deleted_while_served_ends_the_server(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    with running(tmp_path / "bundle", tmp_path / "store.db") as server:
        (tmp_path / "store.db").unlink()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            server.send("PUT", "/v1/contacts", {"contacts": [{"contact_id": "ada"}]})
        assert server.process.wait(timeout=20) == 2


def test_a_refused_bundle_is_one_clear_error_and_exit_code_2(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle" / "policy.json"
    path.write_bytes(path.read_bytes().replace(b"0.4", b"0.5"))
    command = [sys.executable, "-m", "nurture_rl.cli", "serve", f"bundle={tmp_path / 'bundle'}"]
    command += [f"store={tmp_path / 'store.db'}", "port=1"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 2
    assert found.stderr.startswith("serve: policy.json: expected SHA-256")
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "store.db").exists()


def test_silent_connections_and_a_second_server_do_not_disturb_the_first(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    with running(tmp_path / "bundle", tmp_path / "store.db", "host=localhost") as server:
        port = server.url.rpartition(":")[2]
        with ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(socket.create_connection(("localhost", int(port))))
            assert server.send("GET", "/healthz")["status"] == "ok"
        command = [sys.executable, "-m", "nurture_rl.cli", "serve", f"bundle={tmp_path / 'bundle'}"]
        command += [f"store={tmp_path / 'other.db'}", f"port={port}"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 2
    assert second.stderr.startswith(f"serve: cannot listen on port {port} of 127.0.0.1")
    assert second.stderr.count("\n") == 1
    assert not (tmp_path / "other.db").exists()


def test_the_server_loads_without_training_libraries() -> None:
    code = (
        "import sys, nurture_rl.cli.main, nurture_rl.cli.plain, nurture_rl.workflow.served;"
        "import nurture_rl.serving.upkeep.export, nurture_rl.release.pyfunc;"
        "print(sorted({'torch', 'mlflow', 'matplotlib', 'ibis'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.strip() == "[]"
