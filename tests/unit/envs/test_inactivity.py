"""Mail to contacts who do nothing thins out by tiers, at last to probes."""

from __future__ import annotations

import pytest

from nurture_envs.guardrails import Reason
from tests.unit.envs.test_guardrails import (
    NEVER_SENT,
    SENDS,
    compiled,
    facts,
    forbidden,
    sent,
)
from tests.unit.envs.toy_journey import toy

IDLE = {
    "signals": ["clicked"],
    "tiers": [{"bins": 3, "max": 2, "hours": 90}, {"bins": 6, "max": 1, "hours": 100}],
    "probe": {"bins": 9, "share": 0.1},
}


@pytest.mark.parametrize(
    ("bins", "sends", "probed", "held"),
    [
        (2.0, (-30, -60), False, False),  # active
        (3.0, (-30, -60), False, True),
        (3.0, (-30, -90), False, False),  # the earlier of two is over
        (6.0, (-80, -200), False, True),  # from here on one alone
        (8.0, (-100, -200), False, False),
        (9.0, (-200, -300), False, True),  # probes alone
        (9.0, (-200, -300), True, False),
        (9.0, (-80, -300), True, True),  # tiers hold for probes too
        (1e9, (NEVER_SENT, NEVER_SENT), False, True),  # who was never active was so long ago
    ],
)
def test_mail_to_who_does_nothing_thins_out_to_probes(
    bins: float, sends: tuple[float, ...], probed: bool, held: bool
) -> None:
    journey = toy(
        guardrails__inactivity=IDLE, guardrails__frequency_caps=[], guardrails__min_gap_hours=0
    )
    now = facts(sends_hours=sent(*sends), inactive=bins, probed=probed)
    found = forbidden(now, journey)
    at_now = {name for name in SENDS if name.endswith("@now")}
    assert {n: found.get(n) for n in at_now} == dict.fromkeys(
        at_now, Reason.INACTIVE if held else None
    )
    assert compiled(now, journey) == found
