"""What is found in the journeys that a log's contacts went, and as which features it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.predictions.behaviour_segments import FoundSegments, behaviour_segments
from nurture_rl.predictions.contact_groups import ContactGroups
from nurture_rl.predictions.episode_acts import EpisodeActs
from nurture_rl.predictions.frequent_paths import FrequentPath, frequent_paths
from nurture_rl.predictions.stage_readiness import StageReadiness, stage_readiness
from nurture_rl.predictions.stage_waits import StageWait
from nurture_rl.predictions.stall_points import StallPoint, stall_points
from nurture_rl.simulator.gap.false_findings import few_false

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MiningConfig:
    """What is looked for."""

    share: float  # of the episodes that go a path, at least
    false: float  # share of the told findings that may be false, in the mean
    days: float  # in which something follows an act, or contacts stay
    early: float  # first days by which contacts are grouped
    seed: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What was looked for in a log, findings first."""

    paths: tuple[FrequentPath, ...]
    stalls: tuple[StallPoint, ...]
    segments: FoundSegments
    by: str  # what readiness is told by, in words
    readiness: tuple[StageReadiness, ...]

    @property
    def told_paths(self) -> tuple[FrequentPath, ...]:
        """Paths that are findings."""
        return tuple(one for one in self.paths if one.told)


@dataclass(frozen=True, slots=True)
class MinedJourneys:
    """The findings of a log."""

    title: str
    journey: str
    provenance: str
    log: str  # the checked log that was looked at
    as_of: str  # UTC, ISO-8601
    episodes: int
    reached: int  # of them, that reached the north star
    acts: tuple[str, ...]  # signals that people make
    findings: Findings
    false: float  # of the configuration
    days: float
    length: float  # days of an episode


def mined(
    acts: EpisodeActs,
    config: MiningConfig,
    waits: Callable[[float], Sequence[StageWait]] = lambda _: (),
    asked: ContactGroups | None = None,
) -> Findings:
    """Paths, stall points, kinds of contacts and how ready each is.

    Everything is tested together, so that of all that is told a share is false at most, in the mean
    (Benjamini and Hochberg 1995).

    Args:
        acts: of all episodes.
        config: what is looked for.
        waits: in the stages of the journey, from a day of the episode on.
        asked: groups by which readiness is told; None: by the kinds that are found.
    """
    rng = np.random.default_rng(config.seed)
    _, cluster = np.unique(acts.cluster.astype(str), return_inverse=True)
    heads = rng.random(int(cluster.max(initial=-1)) + 1) < 0.5
    paths = frequent_paths(acts, heads[cluster], config.share)
    stalls = stall_points(acts, config.days)
    kinds, kind = behaviour_segments(acts, config.early, rng)
    groups = asked or _groups(kinds, kind)
    stages = stage_readiness(waits(groups.from_day), groups, config.days)
    chances = [one.p for one in paths] + [one.p for one in stalls] + [one.p for one in stages]
    sure = iter(few_false([*chances, kinds.p], config.false))
    paths = [replace(one, told=next(sure)) for one in paths]
    stalls = [replace(one, told=next(sure) and one.stays > one.others) for one in stalls]
    stages = [replace(one, told=next(sure)) for one in stages]
    return Findings(
        tuple(sorted(paths, key=lambda one: (not one.told, one.p, one.steps))),
        tuple(sorted(stalls, key=lambda one: (not one.told, one.others - one.stays))),
        replace(kinds, told=next(sure)),
        groups.by,
        tuple(stages),
    )


def _groups(kinds: FoundSegments, kind: IntArray) -> ContactGroups:
    """The kinds as groups; where there are none all contacts are one."""
    if not kinds.segments:
        return ContactGroups(
            "kind of contact, of which none were found", kind * 0, ("all contacts",), 0.0
        )
    names = tuple(f"Kind {place}" for place in range(1, len(kinds.segments) + 1))
    return ContactGroups("kind of contact", kind, names, kinds.days)


def feature_text(found: MinedJourneys) -> str:
    """The told paths as signals, paths and features of a journey file, with where they come from.

    A person reads it, and puts into a journey what it is to know.
    """
    lines = [
        f"# Found by `nurture mine` in {found.log}, as of {found.as_of}:",
        f"# {found.episodes} episodes, {found.reached} with the north star. Associations of what",
        "# contacts did by themselves, no effects; of all that the page tells",
        f"# {found.false:.0%} may be false.",
        f"extends: {found.journey}",
    ]
    if not found.findings.told_paths:
        return "\n".join([*lines, "# No path was found that the north star follows otherwise.", ""])
    names = ["_then_".join(one.steps) for one in found.findings.told_paths]
    lines.append("signals:")
    lines += [f"  {name}: {{type: {name}}}" for name in names]
    lines.append("paths:")
    for name, one in zip(names, found.findings.told_paths, strict=True):
        steps = ", ".join(one.steps)
        lines.append(f"  # {one.share:.1%} of the episodes; it follows {one.ratio:.2f} times")
        lines.append(
            f"  # as often as other orders [{one.lower:.2f}, {one.upper:.2f}], p {one.p:.2g}"
        )
        within = f"hours: {found.length * 24.0:g}"
        lines.append(f"  {name}: {{steps: [{steps}], {within}, first: true}}")
    lines.append("features:")
    lines += [f"  went_{name}: {{kind: ever, of: [{name}]}}" for name in names]
    return "\n".join([*lines, ""])
