"""Masks say what the guardrails promise: 100,000 random contacts, four ways of working it out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec, evaluate
from nurture_envs.guardrails import GuardrailFacts, Reason, legal_actions
from nurture_envs.guardrails.remembered import moments_watched
from nurture_envs.journey import Journey
from nurture_envs.journey_file import shipped_journeys
from nurture_rl.serving.contacts.crowd import against_crowd
from nurture_rl.serving.contacts.facts import known, offered
from nurture_rl.serving.contacts.reply_handoffs import against_rest
from tests.unit.envs.compiled_rules import CompiledRules
from tests.unit.serving.mask_oracle import may, standing_of
from tests.unit.serving.mask_people import ANCHOR, JOURNEYS, QUARTER, a_contact

EACH = 10_000  # contacts of each of the eleven journeys


def compiled(
    facts: GuardrailFacts, journey: Journey, catalog: ActionCatalog
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    mask = np.empty((len(catalog), len(facts.now_hours)), np.bool_)
    reasons = np.empty(mask.shape, np.int32)
    CompiledRules(catalog, journey.guardrails)(facts, mask, reasons)
    return mask.T, reasons.T


def tensors(facts: GuardrailFacts) -> GuardrailFacts:
    """The same facts in torch."""
    parts: dict[str, Any] = {name: getattr(facts, name) for name in GuardrailFacts.__slots__}
    return GuardrailFacts(
        **{
            name: torch.from_numpy(np.ascontiguousarray(part))
            if isinstance(part, np.ndarray)
            else part
            for name, part in parts.items()
        }
    )


@pytest.mark.parametrize(
    "name",
    [
        "spring",
        "waiting",
        *(pytest.param(name, marks=pytest.mark.slow) for name in shipped_journeys()),
    ],
)
def test_what_the_guardrails_allow_is_what_an_independent_reading_allows(name: str) -> None:
    journey = JOURNEYS[name]
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    rng = np.random.default_rng(list(name.encode()))
    now_us = ANCHOR + rng.integers(0, 14 * 96, EACH) * QUARTER
    views = [a_contact(journey, rng, int(now)) for now in now_us]
    stock = {"gift": 1, "trial": 0}  # of the journey that has them
    found = known(journey, spec, views, now_us, "UTC")
    features = evaluate(spec, found.past, found.bins, found.anchor_us, found.attributes)
    facts = offered(catalog, spec, found.facts, features, stock)
    mask, reasons = legal_actions(facts, catalog, journey.guardrails)
    asked = sorted({c.column for offer in journey.offers for c in offer.eligible})
    columns = [spec.column(column) for column in asked]
    expected = np.empty(mask.shape, np.bool_)
    for row, view in enumerate(views):
        held = dict(zip(asked, features[row, columns].tolist(), strict=True))
        at = standing_of(journey, view, int(now_us[row]), held, stock)
        expected[row] = [may(journey, action, at) for action in catalog.actions]
    crowd = against_crowd(catalog, views, found, reasons.astype(np.int64), now_us)
    served = against_rest(journey, catalog, views, crowd, now_us)
    np.testing.assert_array_equal(served == 0, expected)
    np.testing.assert_array_equal(mask, reasons == 0)
    plain = legal_actions(tensors(facts), catalog, journey.guardrails)
    np.testing.assert_array_equal(plain[0].numpy(), mask)
    np.testing.assert_array_equal(plain[1].numpy(), reasons)
    # A simulation counts no stock, and nobody in it prefers anything.
    endless = replace(facts, left=None, refused=None, wanted_from=None)
    some, why = legal_actions(endless, catalog, journey.guardrails)
    if not moments_watched(journey.guardrails):  # loops play no journey that waits
        loops, loops_why = compiled(endless, journey, catalog)
        np.testing.assert_array_equal(loops, some)
        np.testing.assert_array_equal(loops_why, why)
    assert name != "spring" or against(served) == EVERYTHING - WAITS
    assert name != "waiting" or against(served) >= WAITS


# What stood against something in the journey whose messages are all approved.
WAITS = {"JOB_CAP", "CLAIM_CAP", "BLOCK_CAP", "UNANSWERED", "COOL_OFF"}
ACCOUNTS = {"ACCOUNT_CAP", "ACCOUNT_CONVERSATION"}
EVERYTHING = {reason.name for reason in Reason} - {"NOT_APPROVED"} - ACCOUNTS


def against(reasons: NDArray[np.int64]) -> set[str | None]:
    union = int(np.bitwise_or.reduce(reasons, axis=None))
    return {reason.name for reason in Reason if union & reason}
