"""What changes of stage show to be wrong: skipped, backward, orphan and stale stages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.journey import Journey
from nurture_rl.appraisal.first_look import first_events, horizon_us, of_signal
from nurture_rl.appraisal.health.finding import LOOK, LogFinding, share

IntArray = NDArray[np.int64]

_NEVER = np.iinfo(np.int64).max
_STEP = 0.6  # of those who came to a stage: had been in the one before, if it is a step of a funnel
_SKIPPED, _BACKWARD, _ORPHAN = 0.05, 0.02, 0.05  # shares from which on they are told
_EXPECTED = 10  # contacts who should have come to a stage by now, before it is called stale
_FEW = 20  # contacts of a stage below which nothing is said

_OUTSIDE = frozenset({"subscriber", "lead", "new", "opportunity", "customer", "won", "lost"})


def stages_health(events: pa.Table, journey: Journey) -> Iterator[LogFinding]:
    """Findings in the changes of stage.

    Args:
        events: checked.
        journey: its stages, in order.
    """
    signals = {one.name: one for one in journey.signals}
    stages = [name for name, _ in journey.stages]
    _, began, row = first_events(events)
    at = np.asarray(pc.cast(events["occurred_at"], pa.int64()))
    first = np.full((len(stages), began.size), _NEVER)
    for k, (_, signal) in enumerate(journey.stages):
        found = np.asarray(of_signal(events, signals[signal]).combine_chunks(), bool)
        np.minimum.at(first[k], row[found], at[found])
    yield from _order(first, stages)
    yield from _orphans(events, journey)
    yield from _stale(first, stages, began, int(at.max()) - horizon_us(journey))


def _order(first: IntArray, stages: list[str]) -> Iterator[LogFinding]:
    """Steps of a funnel: stages of which most who came to the later one had come to the earlier."""
    for k in range(1, len(stages)):
        came, before = first[k] < _NEVER, first[k - 1] < _NEVER
        n, both = int(came.sum()), int((came & before).sum())
        if n < _FEW or both < _STEP * n:
            continue
        backward = int((came & before & (first[k] < first[k - 1])).sum())
        if n - both > _SKIPPED * n:
            yield LogFinding(
                "stage skipped",
                LOOK,
                f"{share(n - both, n)} contacts came to {stages[k]} and never to {stages[k - 1]}, "
                "to which most came first",
                "export the whole history of the field, not its latest value",
            )
        if backward > _BACKWARD * n:
            yield LogFinding(
                "stage backward",
                LOOK,
                f"{share(backward, n)} contacts came to {stages[k]} before {stages[k - 1]}",
                "look at the times of the changes, and at the order of `stages` in the journey",
            )


def _orphans(events: pa.Table, journey: Journey) -> Iterator[LogFinding]:
    changes = events.filter(pc.equal(events["type"], "stage_changed"))
    read = {one.stage for one in (*journey.signals, *journey.guardrails.events)} - {None}
    counts = {
        one["values"]: one["counts"]
        for one in changes["stage"].value_counts().to_pylist()
        if one["values"] not in read | _OUTSIDE
    }
    if sum(counts.values()) > _ORPHAN * max(len(changes), _FEW):
        named = ", ".join(f"{name!r}" for name in sorted(counts, key=str)[:5])
        yield LogFinding(
            "orphan stage",
            LOOK,
            f"{share(sum(counts.values()), len(changes))} changes are to stages that no signal "
            "of the "
            f"journey reads: {named}",
            "map the words of your CRM to the journey's stages, or give the journey signals for "
            "them",
        )


def _stale(
    first: IntArray, stages: list[str], began: IntArray, due_us: int
) -> Iterator[LogFinding]:
    """Stages that nobody reached of late, though contacts whose journey is over should have."""
    for k, stage in enumerate(stages):
        moments = first[k][first[k] < _NEVER]
        if moments.size < _FEW:
            continue
        until = int(moments.max())
        due = int(((began > until) & (began < due_us)).sum())
        expected = due * moments.size / began.size
        if expected > _EXPECTED:
            yield LogFinding(
                "stale stage",
                LOOK,
                f"nobody came to {stage} after {np.datetime64(until, 'us').astype('M8[D]')}; of "
                f"{due:,} contacts since, {expected:.0f} would have been expected",
                "look whether the export of the CRM ended earlier than that of mail and web",
            )
