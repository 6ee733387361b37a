"""A server listens alone, where it was told to, or says in one line why it cannot."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from litestar import Litestar

from nurture_rl.cli.main import main
from nurture_rl.logs.schema import CONTACTS, EVENTS
from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.http.listening import Listener, ListenError, bind
from tests.unit.release.bundles import small_bundle


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens who would share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that can be served."""
    folder = tmp_path_factory.mktemp("served") / "bundle"
    small_bundle(folder)
    return folder


@pytest.fixture
def free() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_name_is_an_address_to_listen_on(free: int) -> None:
    with bind("localhost", free) as bound:
        assert bound.getsockname()[0] in ("127.0.0.1", "::1")


def test_the_server_listens_on_the_socket_that_was_bound(free: int) -> None:
    with bind("127.0.0.1", free) as bound:
        descriptor = bound.fileno()
        server = Listener(Litestar(), bound)
        server._init_shared_socket()
    held: Any = server._shd
    assert (held.get_fd(), held.is_uds()) == (descriptor, False)
    with socket.create_connection(("127.0.0.1", free), timeout=5.0):
        os.close(descriptor)


def test_a_start_says_what_it_loaded_and_where_it_serves(
    bundle_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    free: int,
) -> None:
    async def over_at_once(self: Listener) -> None:
        """Nobody comes."""

    monkeypatch.setattr(Listener, "serve", over_at_once)
    monkeypatch.setattr("nurture_rl.serving.http.server._quieten_garbage_collection", lambda: None)
    row = {"contact_id": "ada", "zone_confidence": 1.0, "consent": True, "attributes": "{}"}
    log, store = tmp_path / "log", tmp_path / "s.db"
    log.mkdir()
    pq.write_table(pa.Table.from_pylist([row], CONTACTS), log / "contacts.parquet")
    pq.write_table(EVENTS.empty_table(), log / "events.parquet")
    words = [f"bundle={bundle_folder}", f"store={store}", f"port={free}", f"logs={log}"]
    seen = []
    for _ in range(2):
        assert main(["serve", *words]) == 0
        seen.append(capsys.readouterr().out.splitlines())
    assert seen[0][0] == f"loaded 1 contact and 0 new events from {log}"
    assert seen[1][0] == f"contacts and events of {log} were loaded before"
    for _, greeting in seen:
        assert greeting.startswith(f"serving policy {load_bundle(bundle_folder).policy_id} of ")
        assert f"http://127.0.0.1:{free} " in greeting
        assert greeting.endswith(f"decisions into {store}")


def test_a_port_that_another_would_share_is_taken(taken: int) -> None:
    with pytest.raises(ListenError, match=f"cannot listen on port {taken} of 127.0.0.1"):
        bind("127.0.0.1", taken)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "", "a" * 80, "203.0.113.7"])
def test_a_host_that_is_not_this_machine_is_refused(host: str, free: int) -> None:
    with pytest.raises(ListenError, match=r"host|cannot listen"):
        bind(host, free)


def started(capsys: pytest.CaptureFixture[str], bundle: Path, **settings: object) -> str:
    """The one line of a start that is refused."""
    words = [f"{key}={value}" for key, value in settings.items()]
    assert main(["serve", f"bundle={bundle}", *words]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    line, rest = found.err.split("\n", 1)
    assert rest == ""
    assert line.startswith("serve: ")
    return line


@pytest.mark.parametrize("port", [0, -1, 65_536, 10**12])
def test_a_port_out_of_range_is_one_line(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], port: int
) -> None:
    line = started(capsys, bundle_folder, store=tmp_path / "s.db", port=port)
    assert "from 1 to 65535" in line


def test_a_taken_port_is_one_line_and_makes_no_store(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: int
) -> None:
    line = started(capsys, bundle_folder, store=tmp_path / "s.db", port=taken)
    assert f"port {taken}" in line
    assert not (tmp_path / "s.db").exists()


def test_what_is_no_bundle_is_one_line(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], free: int
) -> None:
    rest = {"store": tmp_path / "s.db", "port": free}
    assert "found none" in started(capsys, tmp_path / "absent", **rest)
    assert "found none" in started(capsys, tmp_path, **rest)
    (tmp_path / "file").write_text("{}")
    assert "found none" in started(capsys, tmp_path / "file", **rest)
    damaged = tmp_path / "damaged"
    shutil.copytree(bundle_folder, damaged)
    for content in (b"", b"{}", b"[1]", b"\xff\x00", b"[" * 100_000):
        (damaged / "manifest.json").write_bytes(content)
        assert "manifest.json" in started(capsys, damaged, **rest)


def test_a_store_that_cannot_be_used_is_one_line(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], free: int
) -> None:
    (tmp_path / "text").write_text("no database, " * 500)
    (tmp_path / "folder").mkdir()
    for store in ("text", "folder", "absent/deeper/s.db", "text/s.db"):
        line = started(capsys, bundle_folder, store=tmp_path / store, port=free)
        assert str(tmp_path / store) in line
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")
        connection.execute("INSERT INTO meta VALUES ('version', '99')")
    assert "newer.db" in started(capsys, bundle_folder, store=newer, port=free)


def test_a_log_that_cannot_be_read_is_one_line(
    bundle_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], free: int
) -> None:
    rest = {"store": tmp_path / "s.db", "port": free, "logs": tmp_path / "log"}
    assert "contacts.parquet" in started(capsys, bundle_folder, **rest)
    (tmp_path / "log").mkdir()
    pq.write_table(EVENTS.empty_table(), tmp_path / "log" / "events.parquet")
    contacts = tmp_path / "log" / "contacts.parquet"
    contacts.write_bytes(b"PAR1 and nothing else PAR1")
    assert str(tmp_path / "log") in started(capsys, bundle_folder, **rest)
    pq.write_table(pa.table({"contact_id": [7], "consent": [True]}), contacts)
    line = started(capsys, bundle_folder, **rest)
    assert "contact_id int64" in line
    assert "time_zone missing" in line
    row = {"contact_id": "a", "zone_confidence": 1.0, "consent": True, "attributes": "[broken"}
    pq.write_table(pa.Table.from_pylist([row], CONTACTS), contacts)
    assert "Expecting value" in started(capsys, bundle_folder, **rest)
