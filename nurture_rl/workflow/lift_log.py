"""The log of an experiment: read from checked tables, and as it stood on earlier days."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.errors import LogError
from nurture_rl.lift.arm_details import ArmDetails, arm_details
from nurture_rl.lift.enrolled import LogTables, enrolled
from nurture_rl.lift.judged_arms import LiftReport, judged, judged_north_star
from nurture_rl.lift.judged_blocks import judged_blocks
from nurture_rl.lift.written_plan import Plan
from nurture_rl.report.lift_page import Read
from nurture_rl.serving.contacts.mail_counts import families_of
from nurture_rl.serving.contacts.recipient_domains import family_of

_WEEK_US = 7 * DAY_US


def lift_tables(ingested: Path, as_of_us: int | None, zone: str) -> LogTables:
    """The checked tables of a log.

    Args:
        ingested: folder of the stage `ingest`.
        as_of_us: the log is complete up to here, UTC; None: up to its last record.
        zone: where contacts of unknown zone live.
    """
    tables = ingested / "tables"
    events, contacts, decisions = (
        pq.read_table(tables / f"{kind}.parquet") for kind in ("events", "contacts", "decisions")
    )
    features = pq.read_table(
        ingested / "decision_table.parquet", columns=["decision_id", "features"]
    )
    if as_of_us is None:
        as_of_us = max(_last(events["recorded_at"]), _last(decisions["decided_at"]))
    return LogTables(events, contacts, decisions, features, as_of_us, zone)


def _last(column: pa.ChunkedArray) -> int:
    last = pc.max(pc.cast(column, pa.int64())).as_py()
    return 0 if last is None else int(last)


def read_arms(log: LogTables, plan: Plan, journey: Journey) -> tuple[LiftReport, ArmDetails | None]:
    """What the whole log says, and what happened by arm; None: no contact has one arm.

    Raises:
        LogError: nobody is enrolled.
    """
    if plan.switchback is not None:
        return judged_blocks(log, plan, journey), None
    people, notes = enrolled(log, plan, journey)
    report = judged(people, notes, plan, journey, log.as_of_us)
    family = partial(family_of, own=families_of(journey.guardrails.volume))
    return report, arm_details(log, people, report, journey, family)


def known_by(log: LogTables, as_of_us: int) -> LogTables:
    """The log as it was on an earlier day, UTC."""
    until = pa.scalar(as_of_us, pa.int64())
    known = pc.less_equal(pc.cast(log.decisions["decided_at"], pa.int64()), until)
    return replace(log, decisions=log.decisions.filter(known), as_of_us=as_of_us)


def weekly_reads(
    report: LiftReport, log: LogTables, plan: Plan, journey: Journey, weeks: int
) -> list[Read]:
    """The north star of the main arm as it was read each week, the earliest first.

    Where time is dealt it is read once, at the end.

    Args:
        report: the last read.
        log: the whole log.
        plan: of the experiment.
        journey: of the plan.
        weeks: before the last read.
    """
    arm = report.main_arm
    if arm is None or plan.switchback is not None:
        return []
    star = {name.removesuffix(".value") for name in journey.north_star.of}
    types = pa.array(sorted({one.type for one in journey.signals if one.name in star}))
    # No other event and no velocity bears on the north star.
    log = replace(log, events=log.events.filter(pc.is_in(log.events["type"], value_set=types)))
    plan, found = replace(plan, velocity=None), []
    for week in range(weeks, 0, -1):
        as_of_us = log.as_of_us - week * _WEEK_US
        try:
            people, _ = enrolled(known_by(log, as_of_us), plan, journey)
        except LogError:
            continue  # nobody was enrolled by then
        lift = judged_north_star(people, plan, journey, arm, as_of_us)
        if lift is not None:
            found.append(Read(as_of_us, lift))
    return [*found, Read(report.as_of_us, report.lifts[arm][0])]
