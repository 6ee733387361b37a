"""Compiled guardrails forbid what the plain ones forbid, for the same reasons, bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import ShapeError
from nurture_envs.guardrails import GuardrailFacts, legal_actions
from nurture_envs.guardrails.remembered import sends_remembered
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, shipped_journeys
from tests.unit.envs.compiled_rules import CompiledRules
from tests.unit.envs.test_guardrails import many_facts
from tests.unit.envs.toy_journey import toy

SLOTS: dict[str, Any] = {"actions__slots": [9, 10, 16, "now"]}
TOYS = {
    "toy": toy(),
    "draft": toy(messages__blue__approval="draft"),
    "lenient": toy(guardrails__require_consent=False, guardrails__availability=False),
    "slots": toy(**SLOTS),
    "quiet at noon": toy(guardrails__quiet_hours=[11, 14], **SLOTS),
    "never quiet": toy(guardrails__quiet_hours=[6, 6]),
    "no quiet hours": toy(guardrails__quiet_hours=None),
    "zone far off": toy(guardrails__unknown_zone_slack=[-60, 70], guardrails__quiet_hours=[3, 4]),
    "idle": toy(
        guardrails__inactivity={
            "signals": ["clicked"],
            "tiers": [{"bins": 1, "max": 3, "hours": 90}, {"bins": 2, "max": 1, "hours": 30}],
            "probe": {"bins": 4, "share": 0.5},
        }
    ),
    "parts": toy(
        messages__red__blocks=["a", "b"],
        messages__blue__blocks=["a", "b"],
        messages__blue__proof="number",
        guardrails__frequency_caps=[{"max": 2, "hours": 70, "job": "activate"}],
        guardrails__repeat_block_hours=60,  # two blocks of one mail give one reason
        guardrails__repeat_claim_hours=90,
    ),
    "uncapped": toy(guardrails__frequency_caps=[], guardrails__min_gap_hours=0),
    "two caps": toy(
        guardrails__frequency_caps=[{"max": 1, "hours": 30}, {"max": 4, "hours": 60.5}]
    ),
}
PLAIN = ("opted_out", "hard_bounced", "conversation", "intent", "paused")  # may be one bool
Answer = tuple[NDArray[np.bool_], NDArray[np.int32]]


def played(name: str) -> Journey:
    """A shipped journey under the limits of simulations."""
    journey = load_journey(name)
    return replace(journey, guardrails=journey.guardrails.simulated)


def picked(now: GuardrailFacts, rows: Any) -> GuardrailFacts:
    """The facts of some contacts; bools that hold for everybody stay."""
    parts = {f.name: getattr(now, f.name) for f in fields(GuardrailFacts)}
    return GuardrailFacts(
        **{
            name: part if part is None or isinstance(part, bool) else part[rows]
            for name, part in parts.items()
        }
    )


def remembering(now: GuardrailFacts, journey: Journey) -> GuardrailFacts:
    """The facts with as many latest sends as the journey's caps need."""
    more = [now.sends_hours - 9.5 * back for back in range(sends_remembered(journey.guardrails))]
    return replace(now, sends_hours=np.hstack(more))


def compiled(now: GuardrailFacts, journey: Journey) -> Answer:
    catalog = ActionCatalog.of(journey)
    shape = (len(catalog), len(now.now_hours))
    mask, reasons = np.empty(shape, np.bool_), np.full(shape, -1, np.int32)
    CompiledRules(catalog, journey.guardrails)(now, mask, reasons)
    return mask, reasons


def agree(answer: Answer, now: GuardrailFacts, journey: Journey) -> None:
    mask, reasons = legal_actions(now, ActionCatalog.of(journey), journey.guardrails)
    np.testing.assert_array_equal(answer[0], mask.T)
    np.testing.assert_array_equal(answer[1], reasons.T)


@pytest.mark.parametrize("journey", TOYS.values(), ids=TOYS.keys())
@settings(max_examples=20)
@given(many_facts(), st.integers(0, 2**32))
def test_toy_journeys_get_the_same_bits(journey: Journey, now: GuardrailFacts, seed: int) -> None:
    now = remembering(now, journey)
    agree(compiled(now, journey), now, journey)
    hours = 24.0 * np.random.default_rng(seed).random(len(now.now_hours))  # between the quarters
    now = replace(now, now_hours=now.midnight_hours + hours)
    agree(compiled(now, journey), now, journey)


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_journeys())
@settings(max_examples=10)
@given(many_facts())
def test_shipped_journeys_get_the_same_bits(name: str, now: GuardrailFacts) -> None:
    journey = played(name)
    now = remembering(now, journey)
    agree(compiled(now, journey), now, journey)


@settings(max_examples=30)
@given(many_facts(), st.dictionaries(st.sampled_from(PLAIN), st.booleans()))
def test_a_plain_bool_holds_for_everybody(now: GuardrailFacts, plain: dict[str, bool]) -> None:
    now = replace(now, **plain)
    agree(compiled(now, TOYS["toy"]), now, TOYS["toy"])


@pytest.mark.parametrize(
    "quiet, slack",
    [([20, 8], [-2, 3]), ([20, 22], [-12, 0]), ([2, 4], [0, 14]), ([11, 19], [0, 0])],
)
def test_an_hour_that_rounds_onto_the_edge_of_quiet_hours_is_rounded_alike(
    quiet: list[int], slack: list[int]
) -> None:
    journey = toy(guardrails__quiet_hours=quiet, guardrails__unknown_zone_slack=slack)
    edges = np.arange(0.0, 24.0)
    hours = np.concatenate([edges, np.nextafter(edges, -1.0), np.nextafter(edges, 24.0)])
    hours = np.concatenate([hours, [-30.0, -24.0, 24.0, 47.5, 60.0]])
    now = picked(a_crowd(3), np.arange(len(hours)))
    zone = np.zeros(len(hours), np.bool_)
    now = replace(now, zone_known=zone, midnight_hours=np.zeros(len(hours)), now_hours=hours)
    agree(compiled(now, journey), now, journey)


def a_crowd(seed: int, n: int = 2500) -> GuardrailFacts:
    """Contacts enough for two whole tiles and a part; sends as the simulator keeps them, [k, n]."""
    rng = np.random.default_rng(seed)
    flags = {f.name: rng.random(n) < 0.8 for f in fields(GuardrailFacts)[:8]}
    day = rng.integers(20_540, 20_560, n)
    hour = rng.integers(0, 96, n) / 4
    back = rng.integers(0, 400, (4, n)) / 4
    latest = np.where(rng.random((4, n)) < 0.4, -np.inf, 24.0 * day + hour - back)
    return GuardrailFacts(
        **flags,
        sends_hours=latest.T,
        now_hours=24.0 * day + hour,
        midnight_hours=24.0 * day,
        today=day,
        slowed=rng.random(n) < 0.3,
    )


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 2500])
def test_contacts_beyond_the_first_tile_get_the_same_bits(n: int) -> None:
    now, journey = a_crowd(0, n), TOYS["two caps"]
    agree(compiled(now, journey), now, journey)


def test_rows_may_be_slices_and_nothing_beside_them_is_touched() -> None:
    journey = TOYS["two caps"]
    catalog = ActionCatalog.of(journey)
    mask = np.ones((len(catalog), 2500), np.bool_)
    reasons = np.full((len(catalog), 2500), -1, np.int32)
    now = picked(a_crowd(1), slice(300, 2100))
    rules = CompiledRules(catalog, journey.guardrails)
    rules(now, mask[:, 300:2100], reasons[:, 300:2100])
    agree((mask[:, 300:2100], reasons[:, 300:2100]), now, journey)
    beside = np.r_[0:300, 2100:2500]
    assert mask[:, beside].all()
    assert (reasons[:, beside] == -1).all()


def test_two_threads_that_share_the_rules_write_what_one_writes() -> None:
    journey, now = played("trial_onboarding"), a_crowd(2, 40_000)
    catalog = ActionCatalog.of(journey)
    mask = np.empty((len(catalog), 40_000), np.bool_)
    reasons = np.empty((len(catalog), 40_000), np.int32)
    rules = CompiledRules(catalog, journey.guardrails)

    def write(half: slice) -> None:
        for _ in range(10):
            rules(picked(now, half), mask[:, half], reasons[:, half])

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, [slice(0, 20_001), slice(20_001, None)]))
    agree((mask, reasons), now, journey)


@pytest.mark.parametrize(
    "mask, reasons, changes",
    [
        (np.empty((9, 8), np.bool_), np.empty((8, 7), np.int32), {}),
        (np.empty((8, 7), np.int8), np.empty((8, 7), np.int32), {}),
        (np.empty((7, 8), np.bool_).T, np.empty((8, 7), np.int32), {}),
        (np.empty((8, 7), np.bool_), np.empty((8, 7), np.int32)[::-1], {}),
        (np.empty((8, 7), np.bool_), np.empty((8, 7), np.int32), {"consent": np.ones(6, bool)}),
        (np.empty((8, 7), np.bool_), np.empty((8, 7), np.int32), {"sends_hours": np.ones((7, 1))}),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(
    mask: Any, reasons: Any, changes: dict[str, Any]
) -> None:
    catalog = ActionCatalog.of(TOYS["toy"])
    assert len(catalog) == 8
    rules = CompiledRules(catalog, TOYS["toy"].guardrails)
    with pytest.raises(ShapeError, match="expected"):
        rules(replace(a_crowd(0, 7), **changes), mask, reasons)
