"""A store that is full, read-only or slow: refused out loud, nothing is lost, and it recovers."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.cli.main import main
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.pipeline.running_server import RunningServer, running
from tests.postgres import PostgresServer
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.lives import until

_PEOPLE = [f"c-{i}" for i in range(6)]


def put(server: RunningServer) -> None:
    contacts = [{"contact_id": name, "consent": True} for name in _PEOPLE]
    server.send("PUT", "/v1/contacts", {"contacts": contacts})


def asked(server: RunningServer, name: str) -> dict[str, Any]:
    body = {"contacts": [{"contact_id": name, "request_id": f"r-{name}"}]}
    (found,) = server.send("POST", "/v1/decisions", body)["decisions"]
    assert isinstance(found, dict)
    return found


def opted_out(server: RunningServer, name: str) -> Any:
    said = {"event_id": f"no-{name}", "contact_id": name, "type": "unsubscribe"}
    said["occurred_at"] = "2026-01-05T00:00:00Z"
    return server.send("POST", "/v1/events", {"events": [said]})


def require_refusing(server: RunningServer) -> None:
    """Nothing is acknowledged, and health says so."""
    for what in (
        lambda: asked(server, _PEOPLE[1]),
        lambda: opted_out(server, _PEOPLE[2]),
        lambda: server.send("GET", "/healthz"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            what()
        assert refused.value.code == 503
        refused.value.close()


def require_recovered(server: RunningServer, store: Path | str) -> None:
    """What was refused is done when it is asked again, once, and what was acknowledged is there."""
    assert server.send("GET", "/healthz")["status"] == "ok"
    assert asked(server, _PEOPLE[1])["kind"] == "decision"
    assert opted_out(server, _PEOPLE[2])["stored"] == 1
    assert asked(server, _PEOPLE[2])["scheduled_at"] is None  # no mail after the word against it
    with closing(StoreReader(store)) as reader:
        rows = [row[0] for block in reader.scan("decisions") for row in block]
    assert sorted(rows) == [f"r-{name}" for name in _PEOPLE[:3]]
    assert verify_store(store).broken_places == []


@contextmanager
def no_room(server: RunningServer) -> Iterator[None]:
    """The server's files cannot grow, as on a disk that is full."""
    process, kind = server.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(process, kind, (4096, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(process, kind, before)


def test_a_full_disk_is_refused_and_recovered_from(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    with running(tmp_path / "bundle", tmp_path / "store.db") as server:
        put(server)
        assert asked(server, _PEOPLE[0])["kind"] == "decision"
        with no_room(server):
            require_refusing(server)
        require_recovered(server, tmp_path / "store.db")


class Disk:
    """A file system in a file, which breaks when it is told to."""

    def __init__(self, folder: Path) -> None:
        self._image, self.path = folder / "image", folder / "disk"
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(64 << 20)
        if os.geteuid() or self._run("mkfs.ext4", "-q", "-F", self._image) or self.mount():
            pytest.skip("only root may mount, and not everywhere")

    def mount(self) -> int:
        options = "loop,errors=remount-ro"
        return self._run("mount", "-t", "ext4", "-o", options, self._image, self.path)

    def break_down(self) -> None:
        """As after a fault of the disk: from now on it is read-only."""
        sources = Path("/proc/self/mounts").read_text("utf-8").splitlines()
        (device,) = [one.split()[0] for one in sources if one.split()[1] == str(self.path)]
        Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("test", "utf-8")

    def mend(self) -> None:
        self.close()
        self._run("fsck.ext4", "-y", self._image)
        assert self.mount() == 0

    def close(self) -> None:
        assert self._run("umount", self.path) == 0

    def _run(self, *command: str | Path) -> int:
        return subprocess.run(command, capture_output=True).returncode


def test_a_file_system_that_turns_read_only_is_refused_and_recovered_from(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    with closing(Disk(tmp_path)) as disk:
        store = disk.path / "store.db"
        with running(tmp_path / "bundle", store) as server:
            put(server)
            assert asked(server, _PEOPLE[0])["kind"] == "decision"
            disk.break_down()
            require_refusing(server)
            assert server.send("GET", f"/v1/decisions/r-{_PEOPLE[0]}")["status"] == "made"
        assert verify_store(store).seen["decision"] == 1  # it can be read and copied there
        out = tmp_path / "copy"
        assert main(["backup", f"store={store}", f"out={out}"]) == 0
        with pytest.raises(StoreError, match="Read-only file system"):
            Store(store)
        disk.mend()
        with running(tmp_path / "bundle", store) as server:
            require_recovered(server, store)


@contextmanager
def read_only(database: PostgresServer) -> Iterator[None]:
    """Connections break, and new ones cannot write, as after a failover to a standby."""

    def told(setting: str) -> None:
        others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        database.run(f"ALTER SYSTEM {setting}")
        database.run("SELECT pg_reload_conf()")
        database.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")

    told("SET default_transaction_read_only = on")
    try:
        yield
    finally:
        told("RESET default_transaction_read_only")


def test_a_read_only_database_is_refused_and_recovered_from(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    small_bundle(tmp_path / "bundle")
    url = postgres.fresh_url()
    with running(tmp_path / "bundle", url) as server:
        put(server)
        assert asked(server, _PEOPLE[0])["kind"] == "decision"
        with read_only(postgres):
            until(lambda: not healthy(server))
            require_refusing(server)
        until(lambda: healthy(server))
        require_recovered(server, url)


def healthy(server: RunningServer) -> bool:
    try:
        return bool(server.send("GET", "/healthz"))
    except urllib.error.HTTPError as error:
        error.close()
        return False


@pytest.mark.slow
def test_a_store_that_somebody_holds_is_waited_for_and_called_unwell(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle")
    with running(tmp_path / "bundle", tmp_path / "store.db") as server:
        put(server)
        assert asked(server, _PEOPLE[0])["kind"] == "decision"
        found: list[dict[str, Any]] = []
        holder = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        with closing(holder):
            holder.execute("BEGIN IMMEDIATE")
            assert healthy(server)  # as it was a moment ago
            waiting = threading.Thread(target=lambda: found.append(asked(server, _PEOPLE[1])))
            time.sleep(2.0)  # it waits ten seconds, as health does: it is to be waiting still then
            waiting.start()
            until(lambda: not healthy(server))
            holder.execute("ROLLBACK")
        waiting.join()
        until(lambda: healthy(server))
        assert found == [asked(server, _PEOPLE[1])]  # decided late, and once
        require_recovered(server, tmp_path / "store.db")
