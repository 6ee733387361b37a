"""What a store in PostgreSQL costs where it once cost too much.

python benchmarks/postgres_store.py volume commits watch lists

`volume`: one decision under the guardrail `volume`, by the sends of its window. `commits`:
decisions a second that sixteen threads write one by one, with the chain and without. `watch`: one
look at the harms of a canary, by the decisions of the log. `lists`: decisions of a server while
another takes lists of a thousand events.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
if not any((Path(folder) / "nurture_rl").is_dir() for folder in sys.path):
    sys.path.insert(0, str(ROOT))  # run as a file, Python only sees this folder

from benchmarks.serving import bundle_of_first_weights
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.crowd_limits import VolumeRamp
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Contact, Decision, Event
from nurture_rl.serving.storage import chain
from nurture_rl.serving.storage.store import Store
from tests.postgres import PostgresServer, require_programs

_NOW = 20_878 * DAY_US + 8 * HOUR_US  # 2027-03-01
_WINDOW = 180  # days over which sends are spread
_BLOCK = 5_000  # decisions of one transaction
_DOMAINS = ("gmail.com", "outlook.com", "gmx.de", *(f"firm{i}.example" for i in range(500)))
_THREADS = 16  # write at once, a decision each
_RUNS = 5


def main(arguments: list[str]) -> None:
    """Measure what is asked for, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", choices=list(_PARTS))
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, running() as server:
        bundle = load_bundle(bundle_of_first_weights(Path(folder)))
        for name in given.what:
            _PARTS[name](server, bundle, given.rows)
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


@contextmanager
def running() -> Iterator[PostgresServer]:
    """A database whose disk is in use."""
    server = PostgresServer(require_programs(), durable=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def volume(server: PostgresServer, bundle: Bundle, rows: list[int]) -> None:
    """One decision after the other, each of a contact of their own."""
    rails = replace(bundle.journey.guardrails, volume=VolumeRamp(warm_up=(1000,) * 30))
    bundle = replace(bundle, journey=replace(bundle.journey, guardrails=rails))
    print("| sends of the window | first, ms | ms a decision, median | slowest of 20 |")
    print("| ---: | ---: | ---: | ---: |")
    for count in rows:
        with closing(Store(server.fresh_url())) as store:
            filled(store, bundle, count)
            names = [f"asked-{i}" for i in range(21)]
            store.put_contacts([contact(name, i) for i, name in enumerate(names)])
            service = Service(bundle, store, ServerSettings("UTC", False, lambda: _NOW))
            first, *others = [timed(partial(service.decide, [Ask(name)])) for name in names]
            print(
                f"| {count:,} | {first:.0f} | {statistics.median(others):.1f} | {max(others):.1f} |"
            )


def commits(server: PostgresServer, bundle: Bundle, rows: list[int]) -> None:
    """With the chain and without, in turns."""
    found: dict[str, list[float]] = {"with the chain": [], "without": []}
    one = made(bundle)
    many = [replace(one, decision_id=f"d{i}", episode_id=f"d{i}", contact_id=f"c{i}")
            for i in range(3_000)]  # fmt: skip
    for _ in range(_RUNS):
        for kind, rates in found.items():
            with closing(Store(server.fresh_url())) as store:
                if kind == "without":
                    with mock.patch.object(chain, "links", return_value=[]):
                        rates.append(written(store, many))
                else:
                    rates.append(written(store, many))
    print("\n| writer | decisions a second, median (least to most) |\n| --- | ---: |")
    for kind, rates in found.items():
        print(f"| {kind} | {statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) |")


def watch(server: PostgresServer, bundle: Bundle, rows: list[int]) -> None:
    """A canary of the latest day in a log of half a year."""
    print("\n| decisions of the log | ms a look, median of 5 |\n| ---: | ---: |")
    for count in rows:
        with closing(Store(server.fresh_url())) as store:
            filled(store, bundle, count)
            journey, after = bundle.journey.name, count - count // _WINDOW
            looks = [
                timed(partial(store.arm_counts, journey, after, [{"type": "hard_bounce"}]))
                for _ in range(5)
            ]
            print(f"| {count:,} | {statistics.median(looks):.1f} |")


def lists(server: PostgresServer, bundle: Bundle, rows: list[int]) -> None:
    """A decision after the other, for other contacts than those of the lists."""
    url, over, taken = server.fresh_url(), threading.Event(), list[float]()
    with closing(Store(url)) as one, closing(Store(url)) as other:
        names = [f"asked-{i}" for i in range(4_000)]
        one.put_contacts([contact(name, i) for i, name in enumerate(names)])
        heard = [f"heard-{i}" for i in range(1_000)]
        one.put_contacts([contact(name, i) for i, name in enumerate(heard)])
        settings = ServerSettings("UTC", False, lambda: _NOW)
        decider, taker = Service(bundle, one, settings), Service(bundle, other, settings)

        def take() -> None:
            while not over.is_set():
                events = [Event(f"{len(taken)}-{name}", name, _NOW, _NOW, "open") for name in heard]
                taken.append(timed(partial(taker.append_events, events)))

        thread = threading.Thread(target=take)
        alone = sorted(timed(partial(decider.decide, [Ask(n)])) for n in names[:200])
        thread.start()
        beside: list[float] = []
        end = time.monotonic() + 20.0
        for name in names[200:]:
            if time.monotonic() > end:
                break
            beside.append(timed(partial(decider.decide, [Ask(name)])))
        over.set()
        thread.join()
    print("\n| decisions, ms | median | p99 |\n| --- | ---: | ---: |")
    for kind, times in (("alone", alone), ("beside lists", sorted(beside))):
        print(f"| {kind} | {statistics.median(times):.1f} | {times[len(times) * 99 // 100]:.1f} |")
    print(f"\n{len(taken)} lists, {statistics.median(taken):.0f} ms each, median")


def filled(store: Store, bundle: Bundle, count: int) -> None:
    """Sends of as many contacts, spread over the window."""
    one = made(bundle)
    for start in range(0, count, _BLOCK):
        some = range(start, min(count, start + _BLOCK))
        store.put_contacts([contact(f"c{i}", i) for i in some])
        store.append_decisions(
            [
                replace(
                    replace(one, decision_id=f"c{i}", episode_id=f"c{i}", contact_id=f"c{i}"),
                    decided_us=(at_us := _NOW - DAY_US * (_WINDOW * (count - i) // count)),
                    scheduled_us=at_us,
                )
                for i in some
            ]
        )
    with store._database._connections.connect() as connection:  # type: ignore[attr-defined]
        connection.execute("ANALYZE")  # as autovacuum does by itself


def made(bundle: Bundle) -> Decision:
    """A decision to send."""
    a = len(bundle.catalog)
    send = int(bundle.catalog.routed("send").argmax())
    chances = tuple(1.0 if i == send else 0.0 for i in range(a))
    return Decision(
        *("d", "c", bundle.journey.name, "d", _NOW, 0, _NOW, bundle.catalog.ids[send], 1.0),
        *(chances, (True,) * a, (0,) * a, (0.5,) * len(bundle.feature_spec.columns)),
        *(bundle.policy_id, "policy", bundle.catalog.hash, _NOW),
    )


def contact(name: str, number: int) -> Contact:
    """Somebody with a mailbox."""
    domain = _DOMAINS[number % len(_DOMAINS)]
    attributes = {"company_size": 5, "industry": "software", "email_domain": domain}
    return Contact(name, None, "UTC", 1.0, True, attributes)


def written(store: Store, decisions: list[Decision]) -> float:
    """Decisions a second."""

    def write(thread: int) -> None:
        for decision in decisions[thread::_THREADS]:
            store.append_decisions([decision])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(_THREADS)]
    began = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return len(decisions) / (time.perf_counter() - began)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    began = time.perf_counter()
    work()
    return 1000.0 * (time.perf_counter() - began)


_PARTS: dict[str, Callable[[PostgresServer, Bundle, list[int]], None]] = {
    "volume": volume,
    "commits": commits,
    "watch": watch,
    "lists": lists,
}

if __name__ == "__main__":
    main(sys.argv[1:])
