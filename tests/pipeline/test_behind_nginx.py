"""docs/deploy/nginx.conf before a real server: TLS, one door, and nothing of people in a log."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.source_tree import ROOT
from tests.pipeline.attacked import AttackedServer, attacked

_NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
_FILE = (ROOT / "docs" / "deploy" / "nginx.conf").read_text("utf-8")


@contextmanager
def proxy(folder: Path, port: int, behind: int) -> Iterator[None]:
    """nginx with the file of docs/deploy, but for its port, its certificate and where it leads."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    made += ["-subj", "/CN=policy.example", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    site = _FILE
    for said, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/policy.example.pem", str(folder / "certificate.pem")),
        ("/etc/ssl/policy.example.key", str(folder / "key.pem")),
        ("http://127.0.0.1:8321", f"http://127.0.0.1:{behind}"),
    ):
        assert site.count(said) == 1
        site = site.replace(said, here)
    (folder / "site.conf").write_text(site, "utf-8")
    own = [f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi")]
    main = f"""daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
    http {{ client_body_temp_path {folder}/body; access_log {folder}/access.log;
    {" ".join(own)} include {folder}/site.conf; }}"""
    (folder / "nginx.conf").write_text(main, "utf-8")
    command = [str(_NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
    with subprocess.Popen(command) as process:
        try:
            for _ in range(200):
                with socket.socket() as line:
                    if line.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def asked(
    port: int, method: str, path: str, body: Any = None, key: str | None = None
) -> tuple[int, str, dict[str, str]]:
    trust_all = ssl.create_default_context()
    trust_all.check_hostname, trust_all.verify_mode = False, ssl.CERT_NONE
    line = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=trust_all)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        line.request(method, path, data, {} if key is None else {"Authorization": f"Bearer {key}"})
        answer = line.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, answer.read().decode(), headers
    finally:
        line.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AttackedServer, int, Path]]:
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    with attacked(folder) as found, proxy(folder, port, found.port):
        yield found, port, folder


@pytest.mark.skipif(_NGINX is None, reason="nginx is not installed here")
def test_the_proxys_file_serves_as_it_says(server: tuple[AttackedServer, int, Path]) -> None:
    found, port, folder = server
    status, text, headers = asked(port, "GET", "/healthz")
    assert (status, '"status":"ok"' in text) == (200, True)
    assert len(headers["x-request-id"]) == 32
    put = {"contacts": [{"contact_id": "ada", "consent": True}]}
    assert asked(port, "PUT", "/v1/contacts", put, found.keys["contacts"])[0] == 200
    ask = {"contacts": [{"contact_id": "ada"}]}
    status, text, _ = asked(port, "POST", "/v1/decisions", ask, found.keys["decisions"])
    assert (status, '"kind":"decision"' in text) == (200, True)
    assert asked(port, "POST", "/v1/decisions", ask)[0] == 401
    assert asked(port, "POST", "/v1/events", b"x" * (33 << 20), found.keys["events"])[0] == 413
    figures = ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics", "/metrics%2f")
    for path in figures:  # a key does not help
        assert asked(port, "GET", path, key=found.keys["metrics"])[0] == 403
    assert asked(port, "GET", "/u/nobody-s-link")[0] == 404
    logs = [path.read_text("utf-8") for path in folder.glob("*.log")]
    assert not any("/u/" in one or "ada" in one for one in logs)
