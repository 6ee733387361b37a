"""A server deals weeks to arms, and `nurture lift` compares them from its export alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.switchback import block_arm
from nurture_rl.serving.roles import ended
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.watching.lift_reports import lift_look
from tests.pipeline.in_process import Ended, nurture
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, event
from tests.unit.serving.test_arms_by_time import AUTUMN
from tests.unit.serving.trials import decided, trial_bundle, trial_service

EXPERIMENT = {**AUTUMN, "block_days": 2, "washout_days": 1, "window_days": 5}
BLOCKS, DAYS = 12, 24
PEOPLE = [f"lead{i}" for i in range(6 * DAYS + 30)]  # six begin each day


def arm_on(day: int) -> str:
    return block_arm("autumn-2027", ("policy", "usual"), day // 2)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Twelve blocks of two days, and two after them; under the policy more meetings are booked."""
    folder, clock = tmp_path_factory.mktemp("served"), Clock(MIDNIGHT - 5 * HOUR_US)
    bundle = trial_bundle(folder / "autumn", EXPERIMENT)
    found = trial_service(bundle, folder / "s.db", clock, people=[contact(n) for n in PEOPLE])
    booked: Counter[int] = Counter()
    for day in range(DAYS + 4):
        begun = PEOPLE[6 * max(day - 3, 0) : 6 * day + 6]
        assert {one.arm for one in decided(found, clock, day, begun).values()} == {arm_on(day)}
        clock.now_us += HOUR_US
        for name in begun[: 2 + day % 3 + (5 if arm_on(day) == "policy" else 0)]:
            found.append_events([event("meeting_booked", clock.now_us, name)])
            booked[day] += 1
    found.policies.change("end experiment", None, ended(), "me", "done")
    decided(found, clock, DAYS + 4, PEOPLE[-6:])
    clock.now_us = MIDNIGHT + (DAYS + 12) * DAY_US
    found.append_events([event("visit", clock.now_us, PEOPLE[0])])  # the log goes on until here
    (plan,) = found.store.plans()
    export_log(found.store, folder / "exported")
    found.store.close()
    return {"folder": folder, "plan": plan, "booked": booked}


def lift(served: dict[str, Any], runs: Path, *more: str) -> Ended:
    return nurture("lift", f"data.path={served['folder'] / 'exported'}", f"runs={runs}", *more)


def test_blocks_of_the_log_are_compared_as_they_were_served(
    served: dict[str, Any], tmp_path: Path
) -> None:
    done = lift(served, tmp_path)
    assert done.code == 0, done.stdout[-2000:] + done.stderr[-3000:]
    (folder,) = (tmp_path / "lift").iterdir()
    report = json.loads((folder / "lift.json").read_text("utf-8"))
    assert report["plan"]["hash"] == served["plan"].digest
    rows = report["blocks"]["rows"]
    assert [row["arm"] for row in rows] == [arm_on(2 * block) for block in range(BLOCKS)]
    assert all(row["compared"] for row in rows)
    for row in rows:  # the second day of each block counts; all mornings' contacts are at risk
        day = 2 * row["block"] + 1
        events = row["means"]["meetings booked"] * row["at_risk"] / EXPERIMENT["window_days"]
        assert events == pytest.approx(served["booked"][day], rel=1e-9)
    assert report["lifts"]["policy"][0]["verdict"] == "better"
    assert "Yes. While `policy` decides" in done.stdout
    entry = yaml.safe_load((folder / "next.yaml").read_text("utf-8"))["experiment"]
    assert (entry["unit"], entry["first_day"]) == ("time", "2027-04-10")
    for name in ("lift.html", "lift.md"):
        told = (folder / name).read_text("utf-8")
        assert "rounds of blocks" in told
        assert "Begins (Europe/Berlin)" in told  # and by its days: in UTC they begin the day before
        assert "2027-03-23" in told
        assert "2027-03-22" not in told


def test_an_earlier_read_tells_nothing_but_the_day(served: dict[str, Any], tmp_path: Path) -> None:
    done = lift(served, tmp_path, "data.complete_until=2027-03-26")
    assert done.code == 4, done.stdout[-2000:] + done.stderr[-3000:]
    assert "Cannot tell yet. It is read once" in done.stdout
    look = lift_look(tmp_path / "lift", "inbound_lead", served["plan"])
    assert (look.missing, list(look.problems)) == ("", [])
    assert look.report is not None
    assert look.report.read_once
    assert (look.report.arm, list(look.report.figures)) == (None, [])


def test_those_who_were_mailed_cannot_be_told_apart(served: dict[str, Any], tmp_path: Path) -> None:
    done = lift(served, tmp_path, "among=mailed")
    assert done.code == 2
    assert "among: expected everybody, for the plan deals time" in done.stderr + done.stdout
