"""A pytest plugin: a real PostgreSQL server for who asks for one, and an empty schema a test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

_UP = 60.0  # seconds a server has to come up
_MEMORY = Path("/dev/shm")  # where files need no disk
_OWNER = "postgres"  # who runs it where the tests are root, which PostgreSQL refuses


class PostgresServer:
    """A server of its own on a Unix socket, in a folder that is thrown away."""

    def __init__(self, programs: Path, durable: bool = False) -> None:
        """Make an empty cluster; it does not run yet.

        Args:
            programs: folder of PostgreSQL's programs.
            durable: what is committed is on disk, as with any server but those of most tests.
        """
        memory = _MEMORY if _MEMORY.is_dir() and not durable else None
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=memory))  # short: it holds the socket
        self._programs, self._durable = programs, durable
        if os.geteuid() == 0:
            shutil.chown(self.folder, _OWNER)
        told = ["--username=nurture", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._watch = _watched(self.folder)
        subprocess.run(
            self._command("initdb", f"--pgdata={self.folder}/data", *told),
            check=True,
            capture_output=True,
            cwd=self.folder,
        )

    def start(self) -> None:
        """Run until `stop` or `kill`; returns when it answers."""
        settings = ["listen_addresses=", "max_connections=200", "shared_buffers=32MB"]
        settings += [] if self._durable else ["fsync=off", "full_page_writes=off"]
        command = self._command("postgres", f"-D{self.folder}/data", f"-k{self.folder}")
        command += [part for setting in settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        end = time.monotonic() + _UP
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def url(self, schema: str | None = None) -> str:
        """Of its database; a store there lies in the schema."""
        path = "" if schema is None else f"&options=-csearch_path%3D{schema}"
        return f"postgresql:///postgres?host={self.folder}&user=nurture{path}"

    def fresh_url(self) -> str:
        """Of its database, with an empty schema."""
        schema = f"s{uuid4().hex}"
        self.run(f"CREATE SCHEMA {schema}")
        return self.url(schema)

    def run(self, sql: str) -> None:
        """Run a statement."""
        with closing(psycopg.connect(self.url(), autocommit=True)) as connection:
            connection.execute(sql)

    @property
    def pid(self) -> int:
        """Of its main process."""
        return int((self.folder / "data" / "postmaster.pid").read_text("utf-8").split()[0])

    def kill(self) -> None:
        """End all its processes at once, as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it for good, and its folder."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder)
        self._watch.communicate()

    def _end(self, number: signal.Signals) -> None:
        main = self.pid
        others = _children(main) if number == signal.SIGKILL else []  # else they are told by it
        for process in (main, *others):
            with suppress(ProcessLookupError):
                os.kill(process, number)
        self._process.wait(timeout=_UP)

    def _command(self, name: str, *arguments: str) -> list[str]:
        command = [str(self._programs / name), *arguments]
        return ["runuser", "-u", _OWNER, "--", *command] if os.geteuid() == 0 else command


def _watched(folder: Path) -> subprocess.Popen[bytes]:
    """A process that ends the server and its folder when the tests are killed: its input closes."""
    main = f"{folder}/data/postmaster.pid"
    ends = f'cat; [ -f {main} ] && kill -QUIT "$(head -n 1 {main})" && sleep 1; rm -rf {folder}'
    return subprocess.Popen(["sh", "-c", ends], stdin=subprocess.PIPE, start_new_session=True)


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = entry.read_text("utf-8").rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(entry.parent.name))
    return found


def programs_of_postgres() -> Path | None:
    """The folder of PostgreSQL's programs; None: there is none on this machine."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return packaged[-1].parent if packaged else None


def require_programs() -> Path:
    """The folder of PostgreSQL's programs; the test is skipped where there is none."""
    if (found := programs_of_postgres()) is None:
        pytest.skip("PostgreSQL's server is not installed; type apt-get install postgresql")
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that runs; it may lose what it committed when it is killed."""
    server = PostgresServer(require_programs())
    server.start()
    yield server
    server.stop()
