"""SendGrid's webhooks to the server as users start it: over a socket, with real signatures."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from tests.pipeline.running_server import RunningServer, running
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.signed_webhooks import PATH, body_of, key_folder, row, signed, signing_key


def post(server: RunningServer, key: EllipticCurvePrivateKey, body: bytes) -> Any:
    headers = {"content-type": "application/json", **signed(key, body, int(time.time()))}
    request = urllib.request.Request(server.url + PATH, body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def test_a_signed_report_withdraws_a_send_and_outlives_a_kill(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    key, now = signing_key(), int(time.time())
    keys = f"webhook_keys={key_folder(tmp_path / 'keys', key)}"
    names = [f"c-{i}" for i in range(200)]
    asks = [{"contact_id": name, "request_id": f"r-{name}"} for name in names]
    leave = [row("unsubscribe", i, now, contact_id=name) for i, name in enumerate(names)]
    with running(tmp_path / "bundle", tmp_path / "store.db", keys) as server:
        contacts = [
            {"contact_id": name, "consent": True, "time_zone": "Europe/Berlin"} for name in names
        ]
        server.send("PUT", "/v1/contacts", {"contacts": contacts})
        made = server.send("POST", "/v1/decisions", {"contacts": asks})["decisions"]
        out = post(server, key, body_of(leave))
        later = {one["decision_id"] for one in made if (one.get("scheduled_at") or "") > _iso()}
        assert later <= {one["decision_id"] for one in out["withdrawn"]}
        assert (out["stored"], out["rejected"]) == (200, [])
        with pytest.raises(urllib.error.HTTPError, match="401"):
            post(server, signing_key(), body_of(leave))
        server.kill()
    with running(tmp_path / "bundle", tmp_path / "store.db", keys) as server:
        out = post(server, key, body_of(leave))
        assert (out["stored"], out["repeated"]) == (0, 200)
        again = [{"contact_id": name} for name in names]
        told = server.send("POST", "/v1/decisions", {"contacts": again})["decisions"]
        assert not [one for one in told if one.get("scheduled_at")]
    with closing(sqlite3.connect(tmp_path / "store.db")) as store:
        assert store.execute("SELECT count(*) FROM events").fetchone() == (200,)


def _iso() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_bodies_that_never_come_hold_up_no_webhook(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    key, now = signing_key(), int(time.time())
    keys = f"webhook_keys={key_folder(tmp_path / 'keys', key)}"
    with running(tmp_path / "bundle", tmp_path / "store.db", keys) as server:
        port = int(server.url.rpartition(":")[2])
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n[".encode()
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        for one in waiting:
            one.sendall(head)
        assert post(server, key, body_of([row("open", 1, now)]))["stored"] == 1
        for one in waiting:
            one.close()
        assert post(server, key, body_of([row("open", 2, now)]))["stored"] == 1
