"""Single decisions over HTTP, durably logged: our server beside a bare endpoint and MLflow's.

python benchmarks/serving.py

All answer with the same network: first to callers who ask again when they are answered, then to
some who come at random at half of the highest rate. Needs wrk (`apt-get install wrk`), which runs
on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import numpy as np
import torch

from benchmarks.open_loop import Waited, open_loop
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.release.bundle import BundleContent, write_bundle
from nurture_rl.release.card import PolicyCard
from nurture_rl.release.onnx_export import export_onnx
from nurture_rl.release.parity import normal_states
from nurture_rl.rl.actor import Actor
from tests.postgres import PostgresServer, require_programs

_UP = 90.0  # seconds a server has to come up
_PUT = 5000  # contacts of one request


@dataclass(frozen=True, slots=True)
class Served:
    """One server under one load."""

    connections: int
    rate: float  # answers a second, median of the runs
    low: float
    high: float
    p50: float  # ms, median of the runs
    p99: float
    processor: float  # ms of the server an answer, all runs
    refused: int  # answers other than 2xx, all runs


@dataclass(slots=True)
class Crowd:
    """Contacts by run: nobody is decided for twice in a bin."""

    groups: int
    size: int  # of a group
    begun: int = 0
    door: threading.Lock = field(default_factory=threading.Lock)

    @property
    def names(self) -> list[str]:
        """All of them; wrk counts from 1."""
        return [f"{group}-{i + 1}" for group in range(self.groups) for i in range(self.size)]


@dataclass(frozen=True, slots=True)
class Target:
    """Servers that are up, and the body that their load sends."""

    pids: tuple[int, ...]
    urls: tuple[str, ...]  # each has its share of the connections
    lua: str  # gives wrk its requests
    body: str  # the same request; CONTACT stands for a contact's id
    crowd: Crowd


Serve = Callable[[Path, Path, Crowd], AbstractContextManager[Target]]


def main(arguments: list[str]) -> None:
    """Measure every server, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of a run")
    parser.add_argument("--contacts", type=int, default=8000, help="of a run; decided once each")
    parser.add_argument("--out", type=Path, help="a JSON file")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--workers", type=int, default=1, help="of ours, on one postgresql store")
    parser.add_argument("--alone", action="store_true", help="leave the peers out")
    given = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        sys.exit("serving: expected wrk on the path; apt-get install wrk")
    if given.workers > 1 and given.store == "sqlite":
        sys.exit("serving: a SQLite store has one server; give --store postgresql with --workers")
    found: dict[str, list[Served]] = {}
    calm: dict[str, Waited] = {}
    own = partial(on_postgresql, workers=given.workers) if given.store == "postgresql" else ours
    servers: dict[str, Serve] = {"nurture serve": own, "bare endpoint": bare, "mlflow": mlflow}
    with tempfile.TemporaryDirectory() as folder:
        bundle = bundle_of_first_weights(Path(folder))
        for name, serve in list(servers.items())[: 1 if given.alone else None]:
            groups = (1 + given.runs * len(given.connections)) * given.workers + 1
            with serve(Path(folder), bundle, Crowd(groups, given.contacts)) as target:
                _loaded(target, 16, 1)
                found[name] = [
                    _measured(target, count, given.runs, given.seconds)
                    for count in given.connections
                ]
                calm[name] = _at_half(target, found[name], given.runs * given.seconds)
            print(_lines(name, found[name]), flush=True)
    print(f"\nat half of the peak, open loop:\n{_half_lines(calm)}")
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if given.out is not None:
        plain = {name: [asdict(one) for one in rows] for name, rows in found.items()}
        half = {name: asdict(one) for name, one in calm.items()}
        told = json.dumps({"closed": plain, "open at half of the peak": half}, indent=1)
        given.out.write_text(told + "\n", "utf-8")


def bundle_of_first_weights(folder: Path) -> Path:
    """A bundle of the inbound-lead journey around a network with first weights."""
    journey, rng = load_journey("inbound_lead"), np.random.default_rng(0)
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    d, a = len(spec.columns), len(catalog)
    actor = Actor(d, a, (128, 128), torch.Generator().manual_seed(0))
    export_onnx(actor.policy(catalog.hash, spec.columns), folder / "model.onnx", catalog, rng)
    states = normal_states(np.zeros(d), np.ones(d), (64, a), catalog.wait, rng)
    model, card = (folder / "model.onnx").read_bytes(), PolicyCard("", "", "", None, None, (), ())
    content = BundleContent(journey, {"kind": "model", "name": "core"}, model, states, card)
    write_bundle(folder / "bundle", content, datetime.now(UTC))
    return folder / "bundle"


@contextmanager
def ours(folder: Path, bundle: Path, crowd: Crowd) -> Iterator[Target]:
    """The policy server on a SQLite file."""
    with _ours(str(folder / "store.db"), bundle, crowd, 1) as target:
        yield target


@contextmanager
def on_postgresql(folder: Path, bundle: Path, crowd: Crowd, workers: int) -> Iterator[Target]:
    """Policy servers on a PostgreSQL database, whose server runs on the same cores."""
    database = PostgresServer(require_programs(), durable=True)
    try:
        database.start()
        with _ours(database.url(), bundle, crowd, workers) as target:
            yield replace(target, pids=(*target.pids, database.pid))
    finally:
        database.stop()


@contextmanager
def _ours(store: str, bundle: Path, crowd: Crowd, workers: int) -> Iterator[Target]:
    """Policy servers; every request decides for a contact that has no decision yet."""
    command = [sys.executable, "-m", "nurture_rl.cli", "serve", f"bundle={bundle}"]
    lua = (
        "i = 0\nwrk.headers['Content-Type'] = 'application/json'\nrequest = function()\n"
        "  i = i + 1\n  local name = start .. '-' .. i\n"
        '  local body = \'{"contacts":[{"contact_id":"\' .. name .. \'"}]}\'\n'
        "  return wrk.format('POST', '/v1/decisions', nil, body)\nend\n"
    )
    with ExitStack() as stack:
        ports = [_port() for _ in range(workers)]
        pids = [
            stack.enter_context(_running([*command, f"store={store}", f"port={port}"], port))
            for port in ports
        ]
        attributes = {"company_size": 5, "industry": "software", "form_topic": "security"}
        cells = {"time_zone": "Europe/Berlin", "zone_confidence": 1.0, "consent": True}
        for start in range(0, len(crowd.names), _PUT):
            some = crowd.names[start : start + _PUT]
            rows = [{"contact_id": name, **cells, "attributes": attributes} for name in some]
            _send("PUT", f"http://127.0.0.1:{ports[0]}/v1/contacts", {"contacts": rows})
        urls = tuple(f"http://127.0.0.1:{port}/v1/decisions" for port in ports)
        body = '{"contacts":[{"contact_id":"CONTACT"}]}'
        yield Target(tuple(pids), urls, lua, body, crowd)


@contextmanager
def bare(folder: Path, bundle: Path, crowd: Crowd) -> Iterator[Target]:
    """A Litestar endpoint that is given features, and commits every answer alone."""
    port = _port()
    script = ROOT / "benchmarks" / "peers" / "bare_endpoint.py"
    command = [sys.executable, str(script), str(folder / "model.onnx"), str(folder / "bare.db")]
    journey = load_journey("inbound_lead")
    features, legal = len(FeatureSpec.of(journey).columns), len(ActionCatalog.of(journey))
    body = {"features": [0.5] * features, "mask": [True] * legal}
    with _running([*command, str(port)], port) as pid:
        yield Target((pid,), (f"http://127.0.0.1:{port}/decide",), *_constant(body), crowd)


@contextmanager
def mlflow(folder: Path, bundle: Path, crowd: Crowd) -> Iterator[Target]:
    """`mlflow models serve` of the same bundle, which logs nothing."""
    from mlflow import pyfunc  # slow to import, and needed here alone

    saved = folder / "mlflow"
    pyfunc.save_model(
        str(saved),
        loader_module="nurture_rl.release.pyfunc",
        data_path=str(bundle),
        pip_requirements=["numpy"],
    )
    port = _port()
    command = [str(Path(sys.executable).parent / "mlflow"), "models", "serve", "-m", str(saved)]
    command += ["-p", str(port), "--env-manager", "local", "--workers", "1"]
    columns = list(FeatureSpec.of(load_journey("inbound_lead")).columns)
    body = {"dataframe_split": {"columns": columns, "data": [[0.5] * len(columns)]}}
    with _running(command, port, "/health") as pid:
        yield Target((pid,), (f"http://127.0.0.1:{port}/invocations",), *_constant(body), crowd)


def _constant(body: Mapping[str, Any]) -> tuple[str, str]:
    content = json.dumps(body)
    return (
        f"wrk.method = 'POST'\nwrk.body = '{content}'\n"
        "wrk.headers['Content-Type'] = 'application/json'\n",
        content,
    )


def _measured(target: Target, connections: int, runs: int, seconds: int) -> Served:
    began = sum(map(_processor, target.pids))
    done = [_loaded(target, connections, seconds) for _ in range(runs)]
    answers = sum(one[3] for one in done)
    rates = [one[0] for one in done]
    return Served(
        connections=connections,
        rate=statistics.median(rates),
        low=min(rates),
        high=max(rates),
        p50=statistics.median(one[1] for one in done),
        p99=statistics.median(one[2] for one in done),
        processor=1e3 * (sum(map(_processor, target.pids)) - began) / answers,
        refused=sum(one[4] for one in done),
    )


def _at_half(target: Target, rows: Sequence[Served], seconds: float) -> Waited:
    """What callers wait who come at random, half as often as the server can answer."""
    rate = max(row.rate for row in rows) / 2.0
    seconds = min(seconds, target.crowd.size / rate)  # a contact has one decision in a bin
    names = (f"{target.crowd.begun}-{i + 1}" for i in range(target.crowd.size))
    bodies = (target.body.replace("CONTACT", name).encode() for name in names)
    return open_loop(target.urls, bodies, rate, seconds, np.random.default_rng(0))


def _loaded(target: Target, connections: int, seconds: int) -> tuple[float, float, float, int, int]:
    """Answers a second, p50 and p99 in ms of the slowest, answers, and those that are no 2xx."""
    count = len(target.urls)
    with ThreadPoolExecutor(count) as threads:
        loads = [
            threads.submit(_load, target, number, connections // count, seconds)
            for number in range(count)
        ]
        rates, halves, tails, answers, refused = zip(*(one.result() for one in loads), strict=True)
    return sum(rates), max(halves), max(tails), sum(answers), sum(refused)


def _load(
    target: Target, number: int, connections: int, seconds: int
) -> tuple[float, float, float, int, int]:
    """What one server gave."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        with target.crowd.door:
            script.write(f"start = '{target.crowd.begun}'\n{target.lua}")
            target.crowd.begun += 1
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout=30s"]
        told = subprocess.run(
            [*command, "-s", script.name, target.urls[number]],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    answers = int(_of(r"(\d+) requests in", told))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    rate = float(_of(r"Requests/sec:\s+([\d.]+)", told))
    return rate, _ms("50", told), _ms("99", told), answers, int(refused[1]) if refused else 0


def _of(pattern: str, told: str) -> str:
    match = re.search(pattern, told)
    if match is None:
        raise RuntimeError(f"wrk said nothing of {pattern!r}: {told}")
    return match[1]


def _ms(share: str, told: str) -> float:
    number = _of(rf"\s{share}%\s+([\d.]+(?:us|ms|s))", told)
    units = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    unit = next(unit for unit in units if number.endswith(unit))
    return float(number.removesuffix(unit)) * units[unit]


@contextmanager
def _running(command: list[str], port: int, path: str = "/healthz") -> Iterator[int]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment |= {"PATH": programs}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=ROOT
        )
        try:
            if not _up(process, f"http://127.0.0.1:{port}{path}"):
                log.seek(0)
                raise RuntimeError(f"{command[:4]} did not come up: {log.read()[-2000:]}")
            yield process.pid
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def _up(process: subprocess.Popen[bytes], url: str) -> bool:
    end = time.monotonic() + _UP
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def _send(method: str, url: str, body: Any) -> None:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=120):
        pass


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _processor(pid: int) -> float:
    """Processor seconds of a process and all that it started."""
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text("utf-8").rsplit(")", 1)[1].split()
        except OSError:  # it has ended
            continue
        number = int(entry.parent.name)
        parents.setdefault(int(fields[1]), []).append(number)
        used[number] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    tree = [pid]
    for one in tree:
        tree += parents.get(one, [])
    return sum(used.get(one, 0.0) for one in tree)


def _half_lines(calm: Mapping[str, Waited]) -> str:
    return "\n".join(
        f"| {name} | {one.rate:.0f} | {one.p50:.1f} | {one.p99:.1f} | {one.longest:.1f} "
        f"| {one.answers} | {one.refused} |"
        for name, one in calm.items()
    )


def _lines(name: str, rows: list[Served]) -> str:
    return "\n".join(
        f"| {name} | {one.connections} | {one.rate:.0f} ({one.low:.0f} to {one.high:.0f}) "
        f"| {one.p50:.1f} | {one.p99:.1f} | {one.processor:.2f} | {one.refused} |"
        for one in rows
    )


if __name__ == "__main__":
    main(sys.argv[1:])
