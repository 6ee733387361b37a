"""What `nurture lift` says of a store, week by week."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.served_weeks.doors import ZONE
from experiments.served_weeks.programme import DAYS, FIRST_DAY
from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.lift.enrolled import enrolled
from nurture_rl.lift.judged_arms import FigureLift, judged
from nurture_rl.lift.written_plan import load_plan
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.workflow.collect import raw_log
from nurture_rl.workflow.ingestion import ingest
from nurture_rl.workflow.lift_log import known_by, lift_tables
from nurture_rl.workflow.run_config import DataConfig
from nurture_rl.workflow.stages import Workshop


@dataclass(frozen=True, slots=True)
class Told:
    """A key figure of an arm against business as usual, as it was told week by week."""

    arm: str
    figure: str
    role: str
    days: list[int]  # of the reads, since the first
    difference: list[float]
    stderr: list[float | None]  # None: nobody has had an event
    half: list[float | None]  # half width of the interval; None: nothing is said yet
    information: list[float]  # of that at the planned end
    adjusted: list[bool]  # for the features of the first decisions


def read_weekly(store: StoreReader, journey: Journey, folder: Path) -> list[Told]:
    """Export a store and report on it at the end of each week, the last time when all is known.

    Args:
        store: what was served.
        journey: with the experiment.
        folder: for what is written on the way.
    """
    exported = folder / "exported"
    export_log(store, exported)
    (plan_file,) = exported.glob("plan-*.yaml")
    plan = load_plan(plan_file, journey)
    data = DataConfig(
        name="served",
        source="folder",
        journey=journey.name,
        path=str(exported),
        default_zone=ZONE,
    )
    workshop = Workshop(folder, lambda line: None)
    ingested = ingest(workshop, data, journey, raw_log(workshop, data, journey, 0))
    last = DAYS + plan.window_days + max(journey.delays) + 2
    days = [*range(7, last, 7), last]
    log = lift_tables(ingested, (FIRST_DAY + last) * DAY_US, ZONE)
    told: dict[tuple[str, str], Told] = {}
    for day in days:
        past = known_by(log, (FIRST_DAY + day) * DAY_US)
        people, notes = enrolled(past, plan, journey)
        for arm, lifts in judged(people, notes, plan, journey, past.as_of_us).lifts.items():
            for one in lifts:
                new = Told(arm, one.name, one.role, [], [], [], [], [], [])
                _add(told.setdefault((arm, one.name), new), day, one)
    return list(told.values())


def _add(told: Told, day: int, one: FigureLift) -> None:
    told.days.append(day)
    told.difference.append(_short(one.difference))
    told.stderr.append(_short(one.stderr) if np.isfinite(one.stderr) else None)
    half = (one.upper - one.lower) / 2.0
    told.half.append(_short(half) if np.isfinite(half) else None)
    told.information.append(_short(one.information))
    told.adjusted.append(one.explained != 0.0)


def _short(value: float) -> float:
    """Five digits are enough, and short to keep."""
    return float(f"{value:.5g}")
