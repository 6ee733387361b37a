"""A server deals contacts to arms, and `nurture lift` reads its export without another word."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.experiment import dealt_arm
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.roles import canary, ended
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.watching.lift_reports import lift_look
from tests.pipeline.in_process import nurture
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, event
from tests.unit.serving.trials import LEARNED, SPRING, decided, trial_bundle, trial_service

PEOPLE = tuple(f"lead{i}" for i in range(320))
LATE = tuple(f"late{i}" for i in range(40))
EXPERIMENT = {
    **SPRING,
    "shares": {"policy": 0.5, "usual": 0.25, "holdout": 0.25},
    "window_days": 7,
    "units": 320,
    "velocity": {"signal": "became_mql", "days": 10},
}
DAYS = 26


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Twenty-six days of an experiment with a canary inside, exported; mails book meetings."""
    folder, clock = tmp_path_factory.mktemp("served"), Clock()
    bundle = trial_bundle(folder / "bundles" / "spring", EXPERIMENT)
    other = trial_bundle(folder / "bundles" / "other", EXPERIMENT, {**LEARNED, "share": 0.5})
    clock.now_us = MIDNIGHT + 6 * HOUR_US
    people = [contact(name) for name in PEOPLE]
    found = trial_service(bundle, folder / "s.db", clock, folder / "bundles", people)
    assert isinstance(found.policies._folder, BundleFolder)
    found.policies.load("other", "me", "try")
    found.policies.change("canary", other.policy_id, canary(other.policy_id, 0.3), "me", "try")
    made: dict[str, list[Any]] = {name: [] for name in PEOPLE}
    for day in range(DAYS):
        names = [name for i, name in enumerate(PEOPLE) if 0 <= day - i % 9 < 15]
        for name, one in decided(found, clock, day, names).items():
            made[name].append(one)
            booked = one.action.startswith("send:") and int(name[4:]) % 3 == 0
            if booked and sum(d.action.startswith("send:") for d in made[name]) == 1:
                at_us = clock.now_us + HOUR_US
                clock.now_us = at_us
                found.append_events([event("meeting_booked", at_us, name)])
    # When it is over the policy decides for everybody, and for those who come then: none of that
    # belongs to the experiment.
    found.policies.change("end experiment", None, ended(), "me", "done")
    ended_us = clock.now_us
    found.store.put_contacts([contact(name) for name in LATE])
    decided(found, clock, DAYS, [*PEOPLE, *LATE])
    clock.now_us = MIDNIGHT + (DAYS + 10) * DAY_US
    found.append_events([event("visit", clock.now_us, PEOPLE[0])])  # the log goes on until here
    (plan,) = found.store.plans()
    digest = plan.digest
    export_log(found.store, folder / "exported")
    found.store.close()
    experiment = bundle.journey.experiment
    assert experiment is not None
    arms = {name: dealt_arm(experiment, name) for name in PEOPLE}
    ended_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ended_us)
    about = {"plan": plan, "digest": digest, "ended": ended_at}
    return {"folder": folder, "made": made, "arms": arms, **about}


def lift(served: dict[str, Any], runs: Path, *more: str) -> tuple[Any, Any]:
    words = (f"data.path={served['folder'] / 'exported'}", f"runs={runs}", *more)
    done = nurture("lift", *words)
    assert done.code in (0, 3, 4), done.stdout[-2000:] + done.stderr[-3000:]
    (report,) = (runs / "lift").glob("*/lift.json")
    return done, json.loads(report.read_text("utf-8"))


def test_the_report_needs_no_plan_and_names_the_one_that_was_written_down(
    served: dict[str, Any], tmp_path: Path
) -> None:
    done, report = lift(served, tmp_path)
    assert report["plan"]["hash"] == served["digest"]
    assert report["plan"]["usual"] == "usual"
    with closing(StoreReader(served["folder"] / "s.db")) as store:
        (began,) = [c for c in store.policy_changes("inbound_lead") if "begin" in c.action]
    assert served["digest"] in began.why
    counted = Counter(served["arms"].values())
    assert report["counts"]["counted"] == dict(counted)
    assert {arm: one["contacts"] for arm, one in report["arms"].items()} == dict(counted)
    assert report["notes"] == {
        "other_arms": 0,
        "crossed": 0,
        "torn_accounts": 0,
        "not_dealt": len(LATE),
    }
    assert "Did it help?" in done.stdout


def test_lift_can_be_told_of_those_who_were_mailed_first_or_would_have_been(
    served: dict[str, Any], tmp_path: Path
) -> None:
    _, report = lift(served, tmp_path, "among=mailed")
    expected: Counter[str] = Counter()
    booked: Counter[str] = Counter()
    for name, life in served["made"].items():
        arm = served["arms"][name]
        if arm == "usual":
            continue
        asked = [one.ghost if arm == "holdout" else one for one in life]
        acts = [one.action for one in asked if one and not one.action.startswith("pause:")]
        if acts and acts[0].startswith("send:"):
            expected[arm] += 1
            booked[arm] += int(name[4:]) % 3 == 0
    assert {arm: one["contacts"] for arm, one in report["arms"].items()} == dict(expected)
    assert min(expected.values()) > 30
    assert report["counts"]["planned"]["policy"] == pytest.approx(2 / 3)
    star = report["lifts"]["policy"][0]
    assert star["usual"] == 0.0
    assert star["treated"] == pytest.approx(booked["policy"] / expected["policy"])


def test_the_console_shows_the_report_as_that_of_the_served_plan(
    served: dict[str, Any], tmp_path: Path
) -> None:
    _, report = lift(served, tmp_path)
    look = lift_look(tmp_path / "lift", "inbound_lead", served["plan"])
    assert (look.missing, list(look.problems)) == ("", [])
    assert look.report is not None
    assert not look.report.read_once
    assert look.report.plan == look.served_plan == served["digest"]
    star, told = look.report.figures[0], report["lifts"]["policy"][0]
    assert (star.difference, star.verdict) == (told["difference"], told["verdict"])
    assert dict(look.report.answers)["Did it help?"].split()[0] in ("Yes.", "No.", "Cannot")
    assert report["plan"]["program"] == "drip"


def test_ghosts_lie_beside_the_decisions_and_are_none_of_them(
    served: dict[str, Any], tmp_path: Path
) -> None:
    exported = served["folder"] / "exported"
    ghosts = pq.read_table(exported / "ghosts.parquet").to_pylist()
    table = pq.read_table(exported / "decisions.parquet")
    decisions = {row["decision_id"]: row for row in table.to_pylist()}
    held = {name for name, row in decisions.items() if row["arm"] == "holdout"}
    assert {row["decision_id"] for row in ghosts} == held
    assert any(row["action"].startswith("send:") for row in ghosts)
    assert {decisions[name]["action"] for name in held} == {"pause:1"}
    shares = EXPERIMENT["shares"]
    for row in decisions.values():
        if row["decided_at"] >= served["ended"]:
            assert (row["experiment"], row["arm_share"]) == (None, None)
            continue
        arm = "policy" if row["arm"].startswith("canary:") else row["arm"]
        assert (row["experiment"], row["arm_share"]) == (served["plan"].experiment, shares[arm])
    done = nurture("ingest", "data=folder", f"data.path={exported}", f"runs={tmp_path / 'runs'}")
    assert done.code == 0, done.stderr
    assert "not read" not in done.stdout
    (tables,) = (tmp_path / "runs" / "stages").glob("ingest-*/tables")
    kept = pq.read_table(tables / "decisions.parquet")
    assert set(kept["decision_id"].to_pylist()) <= decisions.keys()
    for row in kept.to_pylist():
        assert row["action"] == decisions[row["decision_id"]]["action"]


def test_an_export_replaces_an_earlier_one_with_its_plan_and_nothing_else(
    served: dict[str, Any], tmp_path: Path
) -> None:
    with closing(StoreReader(served["folder"] / "s.db")) as store:
        for _ in range(2):
            export_log(store, tmp_path / "out")
        (plan,) = (tmp_path / "out").glob("plan-*.yaml")
        assert plan.read_text("utf-8") == served["plan"].plan
        assert plan.stat().st_mode & 0o777 == 0o600
        (tmp_path / "out" / "mine.yaml").write_text("x")
        with pytest.raises(Exception, match="an earlier export and nothing beside it"):
            export_log(store, tmp_path / "out")


def test_the_arms_that_explore_are_exported_alone_for_whoever_learns(
    served: dict[str, Any], tmp_path: Path
) -> None:
    """A whole export says that some arms draw nothing; one of others has nothing to say."""
    store, out = served["folder"] / "s.db", tmp_path / "exploring"
    done = nurture("export_log", f"store={store}", f"out={out}", "arms=[policy]")
    assert done.code == 0, done.stderr
    rows = pq.read_table(out / "decisions.parquet").to_pylist()
    whole = pq.read_table(served["folder"] / "exported" / "decisions.parquet").to_pylist()
    mine = [row for row in whole if row["arm"].startswith(("policy", "canary:"))]
    assert rows == mine
    assert {path.name.partition(".")[0] for path in out.iterdir() if path.name[0] != "."} == {
        *("events", "contacts", "decisions", "shadows", "episodes")
    }
    told = {}
    for name in ("exploring", "whole"):
        path = out if name == "exploring" else served["folder"] / "exported"
        done = nurture(
            "ingest", "data=folder", f"data.path={path}", f"runs={tmp_path / 'runs' / name}"
        )
        assert done.code == 0, done.stderr
        told[name] = "whose propensities say nothing of other actions" in " ".join(
            done.stdout.split()
        )
    assert told == {"exploring": False, "whole": True}
    done = nurture("export_log", f"store={store}", f"out={tmp_path / 'none'}", "arms=[random]")
    assert done.code == 2
    assert "expected decisions of the arms random, got none" in done.stderr
    assert not (tmp_path / "none").exists()
