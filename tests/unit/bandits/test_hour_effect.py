"""The test of the hour: its error rate on lists without an effect, its power on lists with one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.bandits.hour_effect import HourEffect, hour_effect
from tests.unit.bandits.planted_hours import EIGHT, HourLog
from tests.unit.bandits.planted_log import planted


def found_in(planted_hours: HourLog, seed: int) -> HourEffect:
    log = planted_hours.log()
    return hour_effect(log.take(log.choice), 3, 199, np.random.default_rng(seed))


@pytest.mark.slow
@pytest.mark.parametrize("drip", [0.0, 0.5])
def test_a_list_without_an_effect_shows_one_at_the_stated_rate(drip: float) -> None:
    # Also where half of Mondays' mail goes out at 9 and Mondays are worth more.
    found = [found_in(HourLog(200, seed, gain=0.0, drip=drip), seed) for seed in range(300)]
    # 15 of 300 expected at 5 %; 28 or more have a chance of 0.1 %.
    assert sum(one.p_value <= 0.05 for one in found) <= 27
    # Neither question is asked in vain: their p-values are about uniform.
    for p in ([one.p_common for one in found], [one.p_personal for one in found]):
        assert 0.42 < np.mean(p) < 0.58


def test_without_taking_off_what_mondays_are_worth_hours_would_seem_to_matter() -> None:
    # Negative control: the same logs, their weekday hidden.
    wrong = 0
    for seed in range(30):
        log = HourLog(200, seed, gain=0.0, drip=0.5).log()
        log.features[:, 2:] = 0.0
        found = hour_effect(log.take(log.choice), 3, 199, np.random.default_rng(seed))
        wrong += found.p_value <= 0.05
    assert wrong >= 15


def test_contacts_that_may_be_sent_to_at_other_hours_do_not_look_like_an_effect() -> None:
    # Half of the contacts may be written to before noon alone, and are worth more; no feature
    # tells them apart.
    found = []
    for seed in range(60):
        log = HourLog(200, seed, gain=0.0).log()
        rng, favoured = np.random.default_rng([seed, 8]), log.cluster % 2 == 0
        legal = np.where(favoured[:, None], EIGHT.slots < 12, EIGHT.slots >= 12)
        legal[:, EIGHT.wait] = True
        action = np.where(legal, rng.random(legal.shape), -1.0).argmax(axis=1)
        changed = replace(log, mask=legal, action=action, returns=log.returns + 3.0 * favoured)
        found.append(hour_effect(changed, 3, 199, np.random.default_rng(seed)).p_value)
    # 3 of 60 expected at 5 %; 9 or more have a chance of 0.4 %.
    assert sum(p <= 0.05 for p in found) <= 8


def test_a_planted_effect_is_found() -> None:
    found = [found_in(HourLog(1000, seed, gain=1.0), seed) for seed in range(20)]
    assert sum(one.p_value <= 0.05 for one in found) >= 18
    assert sum(one.p_personal <= 0.05 for one in found) >= 18


def test_more_contacts_find_a_smaller_effect() -> None:
    power = [
        sum(found_in(HourLog(n, seed, gain=0.6), seed).p_value <= 0.05 for seed in range(20))
        for n in (150, 1000)
    ]
    assert power[0] <= 10
    assert power[1] >= 15


def test_the_unit_of_the_returns_does_not_matter() -> None:
    log = HourLog(300, 1, gain=1.0).log()
    rows = log.take(log.choice)
    plain, small = (
        hour_effect(replace(rows, returns=rows.returns * unit), 3, 199, np.random.default_rng(0))
        for unit in (1.0, 2.0**40)
    )
    assert small.p_common == pytest.approx(plain.p_common, abs=0.006)
    assert small.p_personal == pytest.approx(plain.p_personal, abs=0.006)


def test_it_counts_the_sends_whose_hour_was_a_choice() -> None:
    log = HourLog(400, 1, gain=0.0).log()
    sends = EIGHT.routed("send")
    # Of every second row one hour alone is legal: it says nothing of hours.
    forced = np.arange(log.action.size) % 2 == 0
    taken = log.action[forced]
    log.mask[forced] &= ~sends
    log.mask[np.flatnonzero(forced), taken] = True
    found = hour_effect(log.take(log.choice), 3, 19, np.random.default_rng(0))
    assert found.sends == int((sends[log.action] & ~forced).sum())
    assert found.contacts == np.unique(log.cluster[sends[log.action] & ~forced]).size


def test_too_few_sends_with_a_choice_show_nothing() -> None:
    log = planted(40, seed=1).log
    found = hour_effect(log.take(np.arange(12)), 3, 19, np.random.default_rng(0))
    messages = {action.message.id for action in log.catalog.actions if action.message}
    assert found.sends <= found.needed == 2 * (1 + log.features.shape[1] + len(messages))
    assert (found.p_value, found.p_common, found.p_personal) == (1.0, 1.0, 1.0)
    sends = np.array([action.message is not None for action in log.catalog.actions])
    assert 0 < found.contacts <= sends[log.action[:12]].sum()
