"""What the records of all learners show together, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isnan

import numpy as np

from experiments.common.markdown import markdown_table, spread
from experiments.learners.oracle import Standard
from experiments.learners.scoring import (
    ALONE,
    RELEASED,
    Choices,
    Panel,
    over_journeys,
    panels,
)
from experiments.learners.seeds import Summary, summary
from experiments.learners.shares import EXPERT
from experiments.learners.study import NO_LOG, LearnerRecord
from experiments.learners.truth import Measured

_SEED = 0  # of the bootstrap


def report(records: Sequence[LearnerRecord], standards: Mapping[str, Standard]) -> str:
    """Oracles, then for each size all journeys together, then each journey by itself."""
    found = panels(records, standards)
    parts = [_oracles(records, standards)]
    for contacts in sorted({panel.contacts for panel in found}):
        of_size = [panel for panel in found if panel.contacts == contacts]
        parts += [f"### Logs of {contacts:,} contacts", _together(of_size), _choices(of_size)]
        parts += [_losses(of_size), *(_panel(panel) for panel in of_size)]
    failed = [one for one in records if one.failed is not None and one.contacts == NO_LOG]
    failed += [one for panel in found for one in panel.failures]
    if failed:
        parts.append("### Failed\n\n" + "\n".join(_failure(one) for one in failed))
    return "\n\n".join(part for part in parts if part)


def _oracles(records: Sequence[LearnerRecord], standards: Mapping[str, Standard]) -> str:
    head = [
        *("journey", "`drip`", "`expert`", "oracle", "attainable lift", "standard error"),
        *("of it in the region", "trainings"),
    ]

    def line(data: str, one: Standard) -> list[str]:
        programmes = {r.learner: r.programme for r in records if r.data == data and r.programme}
        truth, held = one.oracle.truth, one.held
        inside = "" if held is None else f"{held.truth.over_drip / truth.over_drip:.0%}"
        values = [programmes.get(name) for name in ("drip", EXPERT)]
        told = ["" if value is None else f"{value.value:.1f}" for value in values]
        trainings = ", ".join(f"{attempt.value:.1f}" for attempt in one.oracle.attempts)
        over = [f"{truth.over_drip:.1f}", f"{truth.over_drip_stderr:.1f}"]
        return [f"{data}, {one.oracle.unit}", *told, f"{truth.value:.1f}", *over, inside, trainings]

    return "### Oracles\n\n" + markdown_table(head, (line(*one) for one in standards.items()))


def _together(of_size: Sequence[Panel]) -> str:
    """Shares over all journeys, of learners that have a result in each."""
    sound = [panel for panel in of_size if not panel.void]
    if len(sound) < 2:
        return ""
    everywhere = set.intersection(*(set(panel.learners) for panel in sound))
    rng = np.random.default_rng(_SEED)
    rows = []
    for learner in sorted(everywhere):
        released = over_journeys(sound, learner, RELEASED, rng)
        alone = over_journeys(sound, learner, ALONE, rng)
        rows.append((alone.value, [f"`{learner}`", *map(_interval, (released, alone))]))
    rows.sort(key=lambda row: -row[0])
    scores = f"{sum(len(panel.shares(learner, ALONE)) for panel in sound)}" if rows else "0"
    head = [f"learner, {len(sound)} journeys, {scores} cells", "released", "alone"]
    return markdown_table(head, (row for _, row in rows)) if rows else ""


def _choices(of_size: Sequence[Panel]) -> str:
    """Whom somebody without the truth takes, and what that is worth."""
    head = [
        *("journey", "seed", "taken for release", "bound", "truth", "share", "regret"),
        *("taken alone", "fitted world", "truth", "share", "regret"),
    ]

    def line(panel: Panel, one: Choices) -> Iterator[str]:
        yield from (panel.data, str(one.seed))
        for taken, row in ((one.released, RELEASED), (one.alone, ALONE)):
            if taken is None:
                yield from ("nobody", "", "", "", "")
                continue
            outcome = taken.record.released if row == RELEASED else taken.record.alone
            assert outcome is not None, "who failed is not taken"
            sign = "+" if row == RELEASED else ""
            yield f"`{taken.record.learner}`"
            yield f"{taken.merit:{sign}.1f}"
            yield f"{outcome.truth.value:.1f}"
            yield _percent(panel.share(outcome.truth))
            yield f"{taken.regret:.1f} (`{taken.best.learner}`)"

    lines = (list(line(panel, one)) for panel in of_size for one in panel.choices())
    return markdown_table(head, lines)


def _losses(of_size: Sequence[Panel]) -> str:
    """Where the lift goes that the policy taken for release does not take, as shares of it."""
    head = [
        *("journey", "seed", "taken", "lift", "taken of it", "trust region", "choice"),
        *("all learners", "world promises too much, released", "the same alone"),
        "an oracle in the region",
    ]

    def line(panel: Panel, one: Choices) -> Iterator[str]:
        lost, taken = one.losses, one.released
        assert lost is not None, "only choices with losses are told"
        assert taken is not None, "only choices with losses are told"
        yield from (panel.data, str(one.seed), f"`{taken.record.learner}`", f"{lost.lift:.1f}")
        for part in (lost.taken, lost.by_region, lost.by_choice, lost.by_learning):
            yield _percent(part / lost.lift)
        for part in (lost.world_error, lost.world_error_alone):
            yield f"{part / lost.lift:+.0%}"
        yield "" if lost.region_ceiling is None else _percent(lost.region_ceiling / lost.lift)

    told = [(panel, one) for panel in of_size for one in panel.choices() if one.losses is not None]
    return markdown_table(head, (list(line(*pair)) for pair in told)) if told else ""


def _panel(panel: Panel) -> str:
    """One journey: learners by what they are worth when released, programmes among them."""
    unit = panel.standard.oracle.unit
    head = [
        *("policy", "seeds", f"released, {unit}", "share of lift", "above expert", "sends"),
        *("unsubscribed, complained", f"alone, {unit}", "share of lift", "above expert"),
        *("unsubscribed, complained", "seconds"),
    ]
    rows = [
        (_mean(panel.of(name, RELEASED)), list(_learner(panel, name))) for name in panel.learners
    ]
    rows += [
        (one.value, list(_programme(panel, name, one))) for name, one in panel.programmes.items()
    ]
    rows.sort(key=lambda row: -row[0])
    title = f"#### {panel.data}, {panel.contacts:,} contacts"
    if panel.void:
        beaten = "; ".join(panel.void[:3])
        title += f"\n\nVOID: the oracle is not above {beaten}, so no share is told."
    return f"{title}\n\n" + markdown_table(head, (row for _, row in rows))


def _learner(panel: Panel, learner: str) -> Iterator[str]:
    rng = np.random.default_rng(_SEED)
    seconds = [one.seconds for one in panel.cells if one.learner == learner and not one.failed]
    yield from (f"`{learner}`", str(len(seconds)))
    for row in (RELEASED, ALONE):
        found = panel.of(learner, row)
        yield spread([one.value for one in found], "{:.1f}")
        yield _interval(summary([panel.shares(learner, row)], rng))
        yield _percent(float(np.mean(panel.shares(learner, row, EXPERT))))
        if row == RELEASED:
            yield f"{np.mean([one.amounts['sends'] for one in found]):.2f}"
        yield _harms(found)
    yield f"{np.mean(seconds):.0f}"


def _programme(panel: Panel, name: str, one: Measured) -> Iterator[str]:
    yield from (f"`{name}`", "", f"{one.value:.1f}", _percent(panel.share(one)))
    yield from (_percent(panel.share(one, EXPERT)), f"{one.amounts['sends']:.2f}", _harms([one]))
    yield from ("", "", "", "", "")


def _harms(found: Sequence[Measured]) -> str:
    names = ("unsubscribed", "complained")
    return " ".join(f"{np.mean([one.amounts.get(n, 0.0) for one in found]):.4f}" for n in names)


def _mean(found: Sequence[Measured]) -> float:
    return float(np.mean([one.value for one in found]))


def _interval(one: Summary) -> str:
    if isnan(one.lower):
        return _percent(one.value)
    return f"{_percent(one.value)} ({one.lower:.0%} to {one.upper:.0%})"


def _percent(value: float) -> str:
    return "" if isnan(value) else f"{value:.0%}"


def _failure(one: LearnerRecord) -> str:
    log = f"{one.contacts:,} contacts, seed {one.seed}" if one.contacts else "a programme"
    return f"- `{one.learner}`, {one.data}, {log}: {one.failed}"
