"""Figures of a running server in Prometheus's text form."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import accumulate
from operator import or_

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from nurture_envs.guardrails import reason_names
from nurture_rl.serving.records import Decision, Refusal

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0)  # upper ends
_CHANCES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9, 1.0)  # of propensities


class Metrics:
    """What a server counts. No contact is named anywhere."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self._requests = Counter(
            "nurture_requests", "Requests answered", ("route", "method", "status"), registry=own
        )
        self._seconds = Histogram(
            "nurture_request_seconds",
            "From the first byte of a request to the last of its answer",
            ("route",),
            buckets=_SECONDS,
            registry=own,
        )
        self._running = Gauge("nurture_requests_running", "Requests not yet answered", registry=own)
        self._decisions = Counter(
            "nurture_decisions",
            "Decisions that are on disk",
            ("policy", "arm", "routing"),
            registry=own,
        )
        self._refusals = Counter(
            "nurture_refusals", "Contacts without a decision, by cause", ("code",), registry=own
        )
        self._forbidden = Counter(
            "nurture_guardrails",
            "Decisions in which a guardrail forbade a send",
            ("reason",),
            registry=own,
        )
        self._propensities = _Propensities()
        own.register(self._propensities)
        self._events = Counter(
            "nurture_events", "Events reported, by what became of them", ("outcome",), registry=own
        )

    def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        return generate_latest(self._registry)

    def began(self) -> None:
        """A request came."""
        self._running.inc()

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered.

        Args:
            route: the path as a template, so that no id is a label.
            method: of HTTP.
            status: of the answer.
            seconds: that it took.
        """
        self._running.dec()
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def decided(self, decisions: Sequence[Decision], refusals: Sequence[Refusal]) -> None:
        """Count what a call decided: decisions that are new, and contacts without one."""
        for refusal in refusals:
            self._refusals.labels(refusal.code).inc()
        self._propensities.add(decisions)
        taken = Tally((d.policy_id, d.arm, d.action.partition(":")[0]) for d in decisions)
        for labels, times in taken.items():
            self._decisions.labels(*labels).inc(times)
        against = Tally(reduce(or_, decision.reasons, 0) for decision in decisions)
        for bits, times in against.items():
            for name in reason_names(bits):
                self._forbidden.labels(name).inc(times)

    def reported(self, stored: int, repeated: int, refused: int) -> None:
        """Count events.

        Args:
            stored: new ones.
            repeated: known under their id already.
            refused: not stored.
        """
        for outcome, times in (("stored", stored), ("repeated", repeated), ("refused", refused)):
            self._events.labels(outcome).inc(times)


class _Propensities:
    """How likely the actions taken were, by policy; counted for many decisions at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}  # in each bucket, the last without an upper end
        self._sums: Tally[str] = Tally()

    def add(self, decisions: Sequence[Decision]) -> None:
        """Count decisions."""
        with self._lock:
            for decision in decisions:
                counts = self._counts.setdefault(decision.policy_id, [0] * (len(_CHANCES) + 1))
                counts[bisect_left(_CHANCES, decision.propensity)] += 1
                self._sums[decision.policy_id] += decision.propensity  # type: ignore[assignment]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The figures, as a registry asks for them."""
        found = HistogramMetricFamily(
            "nurture_propensity", "Of the actions taken", labels=["policy"]
        )
        ends = [*map(floatToGoString, _CHANCES), "+Inf"]
        with self._lock:
            for policy, counts in self._counts.items():
                buckets = list(zip(ends, accumulate(counts), strict=True))
                found.add_metric([policy], buckets, self._sums[policy])
        yield found
