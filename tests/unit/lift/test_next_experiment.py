"""The next experiment: a gate between stages, and a block that a journey file takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from nurture_envs.experiment import Experiment
from nurture_envs.journey_file import load_journey
from nurture_rl.lift.enrolled import enrolled
from nurture_rl.lift.judged_arms import LiftReport, judged
from nurture_rl.lift.next_experiment import NextExperiment, next_experiment, units_needed
from nurture_rl.ope.bounds.planned_looks import looks_width
from nurture_rl.report.lift_answers import answers
from tests.unit.lift.small_programme import contact, decision, event, log, plan

JOURNEY = load_journey("inbound_lead")
Report = Callable[..., LiftReport]
WORTH = {"meetings booked": 0.2}


def report(
    booked: dict[str, float], opted_out: float = 0.0, replied: float = 0.0, **changed: object
) -> LiftReport:
    """Six hundred contacts over 40 days; shares that book, opt out (policy) and reply (usual)."""
    rng, n = np.random.default_rng(1), 600
    contacts, decisions, events = [], [], []
    for k in range(n):
        name, arm, day = f"c{k}", "usual" if k % 2 else "policy", 40.0 * k / n
        contacts.append(contact(name))
        decisions.append(decision(name, arm, day))
        if rng.random() < booked[arm]:
            events.append(event(name, "meeting_booked", day + 3.0))
        if arm == "policy" and rng.random() < opted_out:
            events.append(event(name, "unsubscribe", day + 2.0))
        if replied and arm == "usual" and rng.random() < replied:
            events.append(event(name, "reply", day + 2.0, reply_class="positive"))
    said = plan(**{"velocity": None, "units": n, "worth": WORTH, **changed})
    tables = log(contacts, decisions, events)
    people, notes = enrolled(tables, said, JOURNEY)
    return judged(people, notes, said, JOURNEY, tables.as_of_us)


GOOD, EVEN, BAD = ({"policy": p, "usual": q} for p, q in ((0.5, 0.1), (0.2, 0.2), (0.1, 0.5)))


def served(found: NextExperiment, folder: Path) -> Experiment:
    """The block as a server reads it, pasted into a journey file."""
    assert found.block is not None
    path = folder / "mine.yaml"
    text = f"extends: inbound_lead\njourney: mine\n{found.block}"
    path.write_text(text, "utf-8")
    experiment = load_journey(str(path)).experiment
    assert experiment is not None
    return experiment


@pytest.mark.parametrize("booked", [GOOD, EVEN])
@pytest.mark.parametrize(
    ("free", "following"),
    [("timing", "content"), ("content", "offer"), ("offer", "routing")],
)
def test_a_judged_stage_opens_the_gate_to_the_next(
    booked: dict[str, float], free: str, following: str, tmp_path: Path
) -> None:
    told = report(booked, free=free, name=f"spring_{free}", program="expert")
    found = next_experiment(told)
    assert (found.kind, found.stage, found.missing) == ("next stage", following, ())
    assert f"next stage, `{following}`" in answers(told).next
    experiment = served(found, tmp_path)
    assert (experiment.name, experiment.free) == (f"spring_{following}", following)
    assert experiment.usual == "expert"
    assert experiment.goals.worth == WORTH


def test_a_worse_supporting_figure_keeps_the_gate_shut(tmp_path: Path) -> None:
    told = report(GOOD, opted_out=0.4, free="timing")
    found = next_experiment(told)
    assert answers(told).next.startswith("Go back to `usual`")
    assert (found.kind, found.stage) == ("same stage", "timing")
    assert "opt-outs" in found.missing[0]
    assert served(found, tmp_path).name == "spring_timing"


def test_fewer_of_what_should_be_many_keep_the_gate_shut_too() -> None:
    told = report(GOOD, replied=0.3, free="timing")
    found = next_experiment(told)
    assert (found.kind, found.stage) == ("same stage", "timing")
    assert "positive replies" in found.missing[0]
    assert answers(told).next.startswith("Weigh what is worse (positive replies)")


def test_what_takes_longer_keeps_the_gate_shut_too() -> None:
    told = report(GOOD, free="timing")
    star = told.lifts["policy"][0]
    slower = replace(star, name="days to became_mql", role="velocity", verdict="worse")
    found = next_experiment(replace(told, lifts={"policy": (*told.lifts["policy"], slower)}))
    assert (found.kind, found.stage) == ("same stage", "timing")
    assert "days to became_mql" in found.missing[0]


def test_a_worse_north_star_keeps_the_gate_shut() -> None:
    found = next_experiment(report(BAD, free="content", name="spring_content"))
    assert (found.kind, found.stage) == ("same stage", "content")
    assert found.block is not None
    assert "name: spring_content_2\n" in found.block


def test_what_is_not_judged_says_what_is_missing_and_until_when() -> None:
    found = next_experiment(report(EVEN, free="timing", units=1000, worth={"meetings booked": 0.1}))
    assert (found.kind, found.block) == ("wait", None)
    assert "meetings booked" in found.missing[0]
    assert "until 2026-" in found.missing[0]


def test_without_a_worth_the_least_that_can_be_shown_is_written(tmp_path: Path) -> None:
    found = next_experiment(report(EVEN, worth={}, free="timing"))
    assert (found.kind, found.stage) == ("same stage", "timing")
    assert "`worth` of the plan" in found.missing[0]
    experiment = served(found, tmp_path)
    told = report(EVEN, worth=experiment.goals.worth)
    again = units_needed(told.lifts["policy"][0], told.plan, told.plan.shares, "policy")
    assert again == pytest.approx(experiment.goals.units, abs=100)


def test_what_would_never_tell_is_begun_anew_with_the_size_that_would(tmp_path: Path) -> None:
    found = next_experiment(report(EVEN, worth={"meetings booked": 0.001}))
    assert (found.kind, found.stage) == ("same stage", None)
    assert served(found, tmp_path).goals.units > 1_000_000


def test_a_better_policy_gets_a_larger_share_and_a_part_stays(tmp_path: Path) -> None:
    found = next_experiment(report(GOOD))
    assert found.kind == "larger share"
    experiment = served(found, tmp_path)
    assert dict(experiment.shares) == {"policy": 0.8, "usual": 0.2}
    assert experiment.name == "spring_2"


def test_the_last_stage_has_none_after_it() -> None:
    assert next_experiment(report(GOOD, free="routing")).kind == "larger share"
    assert next_experiment(report(EVEN, free="routing")).kind == "same stage"


def test_arms_of_other_sizes_suggest_nothing() -> None:
    found = next_experiment(report(GOOD, shares={"policy": 0.8, "usual": 0.2}))
    assert (found.kind, found.block) == ("wait", None)


def test_arms_that_no_server_has_get_no_block() -> None:
    renamed = report(GOOD)
    plan_ = plan(shares={"policy": 0.5, "usual": 0.4, "agency": 0.1}, velocity=None)
    object.__setattr__(renamed, "plan", plan_)
    found = next_experiment(renamed)
    assert found.block is None
    assert "agency" in found.why


def test_so_many_units_have_eighty_percent_power() -> None:
    """Of experiments of the size that is told, with the worth as truth, 80 % tell at their end."""
    told = report(EVEN, worth={"meetings booked": 0.02})
    star = told.lifts["policy"][0]
    n = units_needed(star, told.plan, {"policy": 0.3, "usual": 0.7}, "policy")
    assert n is not None
    rng = np.random.default_rng(0)
    p, trials, width = (star.usual + star.treated) / 2.0, 4_000, looks_width(1.0, 0.95)
    treated, usual = (rng.binomial(round(q * n), p, trials) / round(q * n) for q in (0.3, 0.7))
    error = np.sqrt(treated * (1 - treated) / (0.3 * n) + usual * (1 - usual) / (0.7 * n))
    told_so = np.mean(treated + 0.02 - usual > width * error)
    assert told_so == pytest.approx(0.8, abs=0.03)


def test_the_block_is_yaml_with_one_entry() -> None:
    block = next_experiment(report(GOOD)).block
    assert block is not None
    assert list(yaml.safe_load(block)) == ["experiment"]
