"""How surely users who are stuck are told from those who read the same pages and go on.

python -m experiments.answering_back.changes_confusion
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from experiments.common.over_seeds import tell_over_seeds
from nurture_envs.clock import HOUR_US
from nurture_envs.derived_rules import RepeatedEvents
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.trial_onboarding import TrialOnboardingParams, TrialOnboardingWorld
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.repeated_signals import repeated_events
from nurture_rl.policies.build import PolicyContext, build_policy

USERS = 600
PLANTED, NOBODY = 0.3, 0.0  # share of users who are confused
STEPS = ("connected_data", "invited_teammate", "first_report", "first_automation")
RULES = tuple(
    RepeatedEvents("confused", ("viewed_help",), times, hours, STEPS)
    for times, hours in ((2, 168.0), (3, 168.0), (3, 336.0), (4, 336.0))
)


@dataclass(frozen=True, slots=True)
class TrialLog:
    """What users of a trial did, and who of them is confused."""

    events: pa.Table  # rows of the events table
    users: pa.Array  # contact ids, [n]
    confused: NDArray[np.bool_]  # [n]


@dataclass(frozen=True, slots=True)
class Flagged:
    """What a rule says of the users of one log; nan where nobody is asked about."""

    recall: float  # share of the confused who are flagged
    false_discoveries: float  # share of the flagged who are not confused
    false_alarms: float  # share of the others who are flagged
    days: float  # median, from a confused user's first event to its flag


def trial_log(share: float, seed: int) -> TrialLog:
    """The log of the trial's reference world under its drip, read as a log of files is.

    Args:
        share: of users who are confused, in [0, 1].
        seed: of the users and their luck.
    """
    journey = load_journey("trial_onboarding")
    world = TrialOnboardingWorld(journey, TrialOnboardingParams(confused_share=share))
    simulation = Simulation(world)
    drip = build_policy("drip", PolicyContext(journey, simulation.catalog, simulation.spec))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_reference_log(folder / "raw", simulation, drip, USERS, seed)
        ingest_folder(
            folder / "raw", folder / "out", None, None, lambda line: None, journey=journey
        )
        events = pq.read_table(folder / "out" / "events.parquet")
        users = pq.read_table(folder / "out" / "contacts.parquet")["contact_id"].combine_chunks()
    rows = [int(user.rsplit("-", 1)[1]) for user in users.to_pylist()]
    latent = world.start(population_keys(seed, USERS, simulation.device)).latent
    return TrialLog(events, users, np.asarray(latent["confused"])[rows])


def flagged(log: TrialLog, rule: RepeatedEvents) -> Flagged:
    """How well the events of a rule name who is confused."""
    made = repeated_events(log.events, rule, load_journey("trial_onboarding"))
    named = np.asarray(pc.is_in(log.users, value_set=made["contact_id"].combine_chunks()))
    first, told = _first_times(log.events), _first_times(made)
    some = log.users.filter(pa.array(named & log.confused)).to_pylist()
    days = [(told[user] - first[user]) / (24.0 * HOUR_US) for user in some]
    return Flagged(
        recall=_share(named[log.confused]),
        false_discoveries=_share(~log.confused[named]),
        false_alarms=_share(named[~log.confused]),
        days=float(np.median(days)) if days else float("nan"),
    )


def _first_times(events: pa.Table) -> dict[str, int]:
    """Of each contact, microseconds since 1970 UTC."""
    some = events.select(["contact_id"]).append_column("at", events["occurred_at"].cast(pa.int64()))
    first = some.group_by("contact_id").aggregate([("at", "min")])
    pairs = zip(first["contact_id"].to_pylist(), first["at_min"].to_pylist(), strict=True)
    return dict(pairs)


def _share(of: NDArray[np.bool_]) -> float:
    return float(of.mean()) if of.size else float("nan")


def _range(values: list[float]) -> str:
    return f"{np.mean(values):.1%} ({min(values):.1%} to {max(values):.1%})"


def _lines(seeds: int) -> Iterator[str]:
    planted = [trial_log(PLANTED, seed) for seed in range(seeds)]
    nobody = [trial_log(NOBODY, seed) for seed in range(seeds)]
    yield (
        "| rule | steps begin it anew | confused who are flagged | flagged who are not confused "
        "| others who are flagged | days to it | flagged where nobody is confused |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for rule in RULES:
        for until in (rule.until, ()):
            asked = replace(rule, until=until)
            some = [flagged(log, asked) for log in planted]
            none = [flagged(log, asked) for log in nobody]
            yield (
                f"| {rule.times} in {rule.hours:g} h | {'yes' if until else 'no'} "
                f"| {_range([one.recall for one in some])} "
                f"| {_range([one.false_discoveries for one in some])} "
                f"| {np.mean([one.false_alarms for one in some]):.1%} "
                f"| {np.mean([one.days for one in some]):.1f} "
                f"| {_range([one.false_alarms for one in none])} |"
            )


if __name__ == "__main__":
    tell_over_seeds(_lines, __doc__, sys.argv[1:])
