"""A program bundled since rules are enough keeps the limits on harm, or nobody can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_envs.journey import HarmLimit
from nurture_rl.codec import to_record
from nurture_rl.workflow.harm_in_world import kept_in_world
from nurture_rl.workflow.judges import Evaluated
from nurture_rl.workflow.release import judged_candidates, outcome
from tests.unit.workflow.judged_by_hand import findings, gap_verdict, settings_of
from tests.unit.workflow.small_log import JOURNEY

RANKING, TRAINING = "trust_for_ranking", "trust_for_training_with_ensemble"


def kept(name: str, upper: float | None, most: float = 0.1) -> dict[str, Any]:
    """A policy held against `complaints`; None: nobody can bound it."""
    known = float("inf") if upper is None else upper
    sentence = f"complaints of {name!r}: at most {known}"
    fine = upper is not None and upper <= most
    return {"rate": known, "upper": known, "added": None, "kept": fine, "sentence": sentence}


def released(
    by_log: float | None, in_world: float | None, trust: str = RANKING, bar: str = "expert"
) -> dict[str, Any]:
    """The gate's record where no candidate beats the bar, whose complaints are as given."""
    found = findings()
    world = found["simulator"]["policies"]
    for name in ("ppo", "linear_thompson"):
        world[name]["over_bar"]["lower"] = -0.5
    named = ("ppo", "linear_thompson", "expert", "drip", "no_contact")
    limit = {"name": "complaints", "per": "contact", "at_most": 0.1, "above_reference": None}
    policies = {name: kept(name, by_log if name == bar else 0.01) for name in named}
    found["appraisal"]["limits"] = [limit | {"level": 0.95, "policies": policies}]
    if in_world is not None:
        world["expert"]["limits"] = {"complaints": kept("expert", in_world)}
    record = to_record(found, Evaluated)
    return outcome(judged_candidates(record, gap_verdict(trust), settings_of()), record)


@pytest.mark.parametrize(
    "by_log, in_world, trust, judge, bundled",
    [
        (0.05, 0.2, RANKING, "log", "expert"),  # the log is asked first
        (0.2, 0.05, RANKING, "log", None),
        (None, 0.05, RANKING, "simulator", "expert"),
        (None, 0.2, RANKING, "simulator", None),
        (None, 0.2, TRAINING, None, "expert"),  # a world that may not rank says nothing of harm
        (None, None, RANKING, None, "expert"),
    ],
)
def test_whoever_can_bound_the_harm_of_the_bar_decides(
    by_log: float | None, in_world: float | None, trust: str, judge: str | None, bundled: str | None
) -> None:
    made = released(by_log, in_world, trust)
    assert made["verdict"] == "rules_are_enough"
    assert made["exported"] == bundled
    (held,) = made["bar_limits"]
    assert (held["judge"], held["limit"]) == (judge, "complaints")
    assert held["kept"] is (None if judge is None else bundled is not None)


def test_what_is_broken_or_unknown_is_said_first() -> None:
    broken = released(None, 0.2)["sentence"]
    assert "a limit on harm keeps it out of a bundle: complaints of 'expert'" in broken
    assert broken.endswith("; stay with `drip`.")
    unknown = released(None, None)["sentence"]
    assert unknown.endswith(
        "the bundle holds `expert`. Nobody can bound its complaints: watch them."
    )
    assert "Nobody" not in released(0.05, None)["sentence"]


def journey(*limits: HarmLimit, estimand: str = "per_episode") -> Any:
    return replace(JOURNEY, limits=limits, estimand=estimand)


def amounts(**counted: NDArray[np.float64]) -> NDArray[np.float64]:
    """What 1,000 contacts saw of each channel."""
    found = np.zeros((1000, len(JOURNEY.channels)))
    for name, column in counted.items():
        found[:, JOURNEY.channel_index(name)] = column
    return found


def test_rates_in_play_have_the_exact_poisson_bound() -> None:
    limit = HarmLimit("opt-outs", ("unsubscribed",), "contact", 0.01, None)
    some = amounts(unsubscribed=(np.arange(1000) < 4).astype(float))
    told = kept_in_world(journey(limit), "rules", some, ("drip", amounts()), 0.95)["opt-outs"]
    assert told.rate == pytest.approx(0.004)
    assert told.upper == pytest.approx(9.1535e-3, rel=1e-4)  # of 4 events: 9.1535 expected at most
    assert told.kept
    none = kept_in_world(journey(limit), "rules", amounts(), ("drip", some), 0.95)["opt-outs"]
    assert none.upper == pytest.approx(2.9957e-3, rel=1e-4)  # no event is not none at all


def test_what_is_done_beyond_the_reference_is_compared_contact_by_contact() -> None:
    limit = HarmLimit("opt-outs", ("unsubscribed",), "contact", None, 0.01)
    many = amounts(unsubscribed=(np.arange(1000) < 60).astype(float))
    few = amounts(unsubscribed=(np.arange(1000) < 58).astype(float))
    asked = journey(limit)
    told = kept_in_world(asked, "rules", many, ("drip", few), 0.95)["opt-outs"]
    assert told.added == pytest.approx(0.002 + 1.96 * (0.002 * 0.998 / 999) ** 0.5, rel=1e-3)
    assert told.kept
    assert not kept_in_world(asked, "rules", many, ("drip", amounts()), 0.95)["opt-outs"].kept
    same = kept_in_world(asked, "rules", many, ("other", many), 0.95)["opt-outs"]
    assert same.added == pytest.approx(2.9957e-3, rel=1e-4)
    alone = kept_in_world(asked, "drip", many, ("drip", many), 0.95)["opt-outs"]
    assert (alone.added, alone.kept) == (None, True)


def test_rates_per_send_count_sends_and_what_play_cannot_count_is_left_out() -> None:
    per_send = HarmLimit("bounces", ("bounced",), "send", 0.05, None)
    sent = {one.name: np.full(1000, 2.0) for one in JOURNEY.signals if one.type == "sent"}
    bounced = amounts(bounced=(np.arange(1000) < 20).astype(float), **sent)
    told = kept_in_world(journey(per_send), "rules", bounced, ("drip", amounts()), 0.95)["bounces"]
    assert told.rate == pytest.approx(20 / sum(column.sum() for column in sent.values()))
    nothing = kept_in_world(journey(per_send), "rules", amounts(), ("drip", amounts()), 0.95)
    assert (nothing["bounces"].upper, nothing["bounces"].kept) == (0.0, True)
    by_decision = HarmLimit("bounces", ("bounced",), "decision", 0.05, None)
    assert kept_in_world(journey(by_decision), "a", bounced, ("b", bounced), 0.95) == {}
    single = journey(per_send, estimand="per_decision")
    assert kept_in_world(single, "a", bounced, ("b", bounced), 0.95) == {}
