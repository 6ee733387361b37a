"""What a decision costs by the contact's history and by the size of the store, in process.

python benchmarks/history.py --before FOLDER

measures this code and, where it is given, that of another checkout, one after the other. Each
decision is durably stored; a contact gets three events between two decisions.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not any((Path(folder) / "nurture_rl").is_dir() for folder in sys.path):
    sys.path.insert(0, str(ROOT))  # run as a file, Python only sees this folder

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Contact, Event
from nurture_rl.serving.storage.store import Store

_BEGAN = 20_878 * DAY_US  # 2027-03-01
_EACH = 5  # contacts watched of each length of history
_DAYS = 12  # decisions of each
_BACK = 28  # days over which a history is spread; features look back on half of them
_KINDS = (
    {"type": "page_view", "page_category": "pricing"},
    {"type": "open"},
    {"type": "click", "topic": "security"},
    {"type": "click", "topic": "pricing", "is_machine": True},
    {"type": "delivered"},
)


def main(arguments: list[str]) -> None:
    """Measure every store and every checkout, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, measured first")
    parser.add_argument("--events", type=int, nargs="+", default=[10, 100, 1000, 20_000])
    parser.add_argument("--contacts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--measure", type=Path, help="a bundle: only measure this code, print JSON")
    given = parser.parse_args(arguments)
    if given.measure is not None:
        print(json.dumps(_measured(given.measure, given.contacts[0], given.events)))
        return
    from benchmarks.serving import bundle_of_first_weights  # slow to import, and needed here alone

    with tempfile.TemporaryDirectory() as folder:
        bundle = bundle_of_first_weights(Path(folder))
        print("| code | contacts of the store | events | ms | CPU ms | slowest ms |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for contacts in given.contacts:
            for name, root in (("before", given.before), ("after", ROOT)):
                if root is None:
                    continue
                command = [sys.executable, str(Path(__file__).resolve())]
                command += ["--measure", str(bundle), "--contacts", str(contacts)]
                command += ["--events", *map(str, given.events)]
                paths = os.pathsep.join([str(root), str(root / "envs")])
                done = subprocess.run(
                    command, env=os.environ | {"PYTHONPATH": paths}, check=True, stdout=-1
                )
                for events, (wall, cpu, slowest) in json.loads(done.stdout).items():
                    print(
                        f"| {name} | {contacts:,} | {int(events):,} | {wall:.2f} | {cpu:.2f} | "
                        f"{slowest:.1f} |",
                        flush=True,
                    )
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _measured(bundle: Path, contacts: int, lengths: list[int]) -> dict[int, list[float]]:
    """Wall and processor milliseconds of a decision, medians, and the slowest, by events."""
    now_us = _BEGAN
    with tempfile.TemporaryDirectory() as folder, closing(Store(Path(folder) / "s.db")) as store:
        _fill(store, contacts)
        service = Service(load_bundle(bundle), store, ServerSettings("UTC", False, lambda: now_us))
        watched = {f"{n}-{i}": n for n in lengths for i in range(_EACH)}
        store.put_contacts([_contact(name) for name in watched])
        for name, count in watched.items():
            for events in _history(name, count):
                now_us = events[-1].occurred_us
                service.append_events(events)
        spent: dict[int, list[tuple[float, float]]] = {n: [] for n in lengths}
        for day in range(_DAYS):
            now_us = _BEGAN + day * DAY_US + 8 * HOUR_US
            for i in range(_EACH):
                for n in lengths:  # in turns, so that a busy machine is busy for all
                    began = time.perf_counter(), time.process_time()
                    service.decide([Ask(f"{n}-{i}")])
                    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
                    spent[n].append((wall, cpu))
            now_us += 4 * HOUR_US
            for name in watched:
                service.append_events([_event(name, f"{day}.{k}", now_us, k) for k in range(3)])
    return {
        n: [
            1000 * statistics.median(wall for wall, _ in times),
            1000 * statistics.median(cpu for _, cpu in times),
            1000 * max(wall for wall, _ in times),
        ]
        for n, times in spent.items()
    }


def _fill(store: Store, contacts: int) -> None:
    """Contacts with two events each."""
    for first in range(0, contacts, 20_000):
        names = [f"other-{i}" for i in range(first, min(contacts, first + 20_000))]
        store.put_contacts([_contact(name) for name in names])
        at_us = _BEGAN - 30 * DAY_US
        store.append_events([_event(name, str(k), at_us, k) for name in names for k in range(2)])


def _history(name: str, count: int) -> Iterator[list[Event]]:
    """Events spread over the days before, in batches as they are posted."""
    times = [_BEGAN - _BACK * DAY_US * (count - k) // count for k in range(count)]
    for first in range(0, count, 1000):
        some = range(first, min(count, first + 1000))
        yield [_event(name, f"h{k}", times[k], k) for k in some]


def _event(name: str, key: str, at_us: int, kind: int) -> Event:
    columns = {"source": "benchmark", **_KINDS[kind % len(_KINDS)]}
    return Event(f"{name}.{key}", name, at_us, at_us, **columns)  # type: ignore[arg-type]


def _contact(name: str) -> Contact:
    attributes = {"company_size": 5, "industry": "software", "form_topic": "security"}
    return Contact(name, None, "Europe/Berlin", 1.0, True, attributes)


if __name__ == "__main__":
    main(sys.argv[1:])
