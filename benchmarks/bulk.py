"""Decisions in bulk: arrays in memory, records in memory, and the verb `decide` on a store.

python benchmarks/bulk.py

Rates are per second of processor: compare them where the machine does other work, too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

from benchmarks.serving import bundle_of_first_weights
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureState
from nurture_envs.guardrails import GuardrailFacts
from nurture_rl.policies.program import Rules
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving import bulk
from nurture_rl.serving.array_pass import Weighed, draw, weigh
from nurture_rl.serving.contact_views import ContactViews
from nurture_rl.serving.decide import decide
from nurture_rl.serving.facts import Known, known
from nurture_rl.serving.layers import Layer, Line
from nurture_rl.serving.on_sqlite import SqliteDatabase
from nurture_rl.serving.records import Contact, ContactView, Episode, Event
from nurture_rl.serving.service import Service
from nurture_rl.serving.store import Store

_MIDNIGHT = 20_878 * DAY_US - HOUR_US  # Monday 2027-03-01 in Berlin
_NOW = _MIDNIGHT + 9 * HOUR_US
_AT = "2027-03-01T08:00:00Z"
_ATTRIBUTES = {"company_size": 5, "industry": "software", "form_topic": "security"}
_TYPES = ("click", "open", "page_view", "form_submitted", "delivered")
_BLOCK = 10_000
# A command that says at its end how much processor time and memory (kB) it took.
_COMMAND = """
import re, sys, time
from nurture_rl.cli.main import main
assert main(sys.argv[1:]) == 0
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
print(f"\\n{time.process_time()} {peak}")
"""


def main(arguments: Sequence[str]) -> None:
    """Measure and print Markdown."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--arrays", type=int, default=1_000_000, help="contacts, as arrays")
    asked.add_argument("--records", type=int, default=100_000, help="contacts, as records")
    asked.add_argument("--stored", type=int, default=100_000, help="contacts of a store")
    asked.add_argument("--events", type=int, default=5, help="of each contact")
    given = asked.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = load_bundle(bundle_of_first_weights(folder))
        _arrays(bundle, given.arrays, given.events)
        _records(bundle, given.records, given.events)
        _verb(folder, given.stored, given.events)
        _parts(folder, given.stored // 2, given.events)
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _arrays(bundle: Bundle, n: int, events: int) -> None:
    """Features, guardrails, policy and draw, from what is known as arrays."""
    facts = _facts(bundle, events)
    for name, line in _lines(bundle).items():
        parts = _Parts()
        for start in range(0, n, _BLOCK):
            ids = [f"decision-{i}" for i in range(start, start + _BLOCK)]
            with parts.counted("features, guardrails"):
                features, reasons = weigh(bundle, facts)
            with parts.counted("policy, draw"):
                wide = reasons.astype(np.int64)
                some = Weighed(facts.bins, facts.local_us, facts.zones, features, wide)
                draw(bundle.catalog, some, ids, _NOW, 7, line)
        spent = sum(parts.used.values())
        told = ", ".join(f"{part} {1e6 * used / n:.2f} µs" for part, used in parts.used.items())
        print(f"arrays, {name}: {n} contacts, {n / spent:,.0f} a second ({told})")


def _records(bundle: Bundle, n: int, events: int) -> None:
    """`decide`, from records of contacts to records of decisions."""
    views, spent = list(_views(5_000, events)), 0.0
    for start in range(0, n, 500):
        first = start % len(views)
        some = [replace(v, decision_id=f"d-{start}-{v.decision_id}") for v in views[first:][:500]]
        began = time.process_time()
        decide(bundle, some, _NOW, 7, "Europe/Berlin")
        spent += time.process_time() - began
    print(f"records: {n} contacts, {n / spent:,.0f} a second", flush=True)


def _verb(folder: Path, n: int, events: int) -> None:
    """The verb on a SQLite store, as its user runs it."""
    store = folder / "store.db"
    _fill(store, n, events)
    command = [sys.executable, "-c", _COMMAND, "decide", f"bundle={folder / 'bundle'}"]
    command += [f"store={store}", f"at={_AT}", f"out={folder / 'out.parquet'}"]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    cpu, peak = done.stdout.split()[-2:]
    print(
        f"nurture decide: {n} contacts with {events} events, {n / float(cpu):,.0f} a second of "
        f"processor, {n / (time.perf_counter() - began):,.0f} of the clock, peak "
        f"{int(peak) >> 10} MiB",
        flush=True,
    )


def _parts(folder: Path, n: int, events: int) -> None:
    """Where the verb's processor time goes."""
    store, parts = folder / "parts.db", _Parts()
    _fill(store, n, events)
    options = bulk.DecideOptions(
        str(folder / "bundle"), str(folder / "parts.parquet"), str(store), at=_AT
    )
    watched: tuple[tuple[str, Any, str], ...] = (
        ("asks, answers, metrics, parts", bulk._Batch, "made"),
        ("rows read", SqliteDatabase, "read"),
        ("views of contacts", ContactViews, "read"),
        ("facts, features, guardrails, policy, draw", Service, "_new"),
        ("decisions written with their chain", Store, "append_decisions"),
        ("table", bulk._Batch, "_table"),
    )
    with ExitStack() as stack:
        for what, cls, name in watched:
            timed = parts.timed(getattr(cls, name), what)
            stack.enter_context(mock.patch.object(cls, name, timed))
        bulk.decide_batch(options)
    for what, used in parts.used.items():
        print(f"  {what}: {1e6 * used / n:.1f} µs a contact")


class _Parts:
    """Processor seconds by part, without those of the parts inside; all threads count."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()
        self._inside = [0.0]

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Count what the block uses."""
        self._inside.append(0.0)
        began = time.process_time()
        yield
        spent = time.process_time() - began
        self.used[name] += spent - self._inside.pop()  # type: ignore[assignment]
        self._inside[-1] += spent

    def timed(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        """A function that is counted."""

        def timed(*given: Any, **named: Any) -> Any:
            with self.counted(name):
                return real(*given, **named)

        return timed


def _lines(bundle: Bundle) -> dict[str, Line]:
    rules = Rules.of(bundle.journey, bundle.catalog, bundle.feature_spec)
    return {
        "the journey's rules": Line("policy", (Layer("rules", rules),)),
        "a network of two layers of 128": Line("policy", (Layer("network", bundle.policy),)),
    }


def _facts(bundle: Bundle, events: int) -> Known:
    """Facts of a block of contacts who differ."""
    views = list(_views(_BLOCK // 5, events))
    moments = np.full(len(views), _NOW, np.int64)
    found = known(bundle.journey, bundle.feature_spec, views, moments, "Europe/Berlin")
    return Known(
        bins=_five(found.bins),
        anchor_us=_five(found.anchor_us),
        local_us=_five(found.local_us),
        zones=_five(found.zones),
        past=FeatureState(*(_five(getattr(found.past, f.name)) for f in fields(FeatureState))),
        attributes=_five(found.attributes),
        facts=GuardrailFacts(
            *(_five(getattr(found.facts, f.name)) for f in fields(GuardrailFacts))
        ),
        ended_by=found.ended_by * 5,
    )


def _five(part: Any) -> Any:
    return np.concatenate([part] * 5) if isinstance(part, np.ndarray) else part


def _views(n: int, events: int) -> Iterator[ContactView]:
    for i in range(n):
        yield ContactView(
            decision_id=f"d-{i}",
            contact=_contact(i),
            events=tuple(_event(i, k) for k in range(events)),
            episode=Episode(f"e-{i}", _MIDNIGHT + HOUR_US - (i % 5) * DAY_US),
            sends=(),
            acknowledged=True,
        )


def _contact(i: int) -> Contact:
    size = {"company_size": i % 300}
    return Contact(f"lead-{i:08}", None, "Europe/Berlin", 1.0, True, {**_ATTRIBUTES, **size})


def _event(i: int, k: int) -> Event:
    at_us = _MIDNIGHT - (i * 7 + k * 13) % 200 * HOUR_US
    kind = _TYPES[(i + k) % len(_TYPES)]
    topic = "pricing" if kind == "click" else None
    return Event(f"e-{i}-{k}", f"lead-{i:08}", at_us, at_us, kind, topic=topic)


def _fill(path: Path, n: int, events: int) -> None:
    with closing(Store(path)) as store:
        for start in range(0, n, _BLOCK):
            some = range(start, min(start + _BLOCK, n))
            store.put_contacts([_contact(i) for i in some])
            store.append_events([_event(i, k) for i in some for k in range(events)])


if __name__ == "__main__":
    main(sys.argv[1:])
