"""A clock that jumps by a day, ahead and back, while a server decides: no mail too many."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, event, service

_PEOPLE = [f"c{i}" for i in range(12)]
_GAP_US, _CAP, _WEEK_US = 40 * HOUR_US, 2, 168 * HOUR_US  # of the small bundle's guardrails
_STEPS = (6 * HOUR_US, 18 * HOUR_US, DAY_US, -DAY_US, 2 * DAY_US)  # from one slot to another


@pytest.mark.parametrize("seed", range(4))
def test_no_jump_of_the_clock_makes_mail_too_many(
    bundle: Bundle, tmp_path: Path, seed: int
) -> None:
    rng, clock = np.random.default_rng(seed), Clock(MIDNIGHT + 9 * HOUR_US)
    found = service(bundle, tmp_path / "store.db", clock)
    found.store.put_contacts([contact(name) for name in _PEOPLE])
    made: dict[str, Decision] = {}
    left: dict[str, int] = {}  # mail that went, and when
    backward = 0
    for turn in range(60):
        names = [name for name in _PEOPLE if rng.random() < 0.7]
        for answer in found.decide([Ask(name, f"{name}-{turn}") for name in names]):
            if isinstance(answer, Decision):
                made[answer.decision_id] = answer
        for name, one in list(made.items())[-20:]:
            if one.scheduled_us is None or name in left or rng.random() < 0.5:
                continue
            (told,) = found.confirm([name])
            if told is not None and told.status == "send":
                left[name] = clock.now_us
                sent = event("sent", clock.now_us, one.contact_id, decision_id=name)
                found.append_events([sent])
        # Asked again, a request has the decision that it had, or none that sends.
        for name, one in list(made.items())[-5:]:
            (again,) = found.decide([Ask(one.contact_id, name)])
            if isinstance(again, Decision):
                assert (again.decision_id, again.action) == (name, one.action)
        step = int(rng.choice(_STEPS))
        backward += step < 0
        clock.now_us += step
    assert backward > 5
    assert_within_limits(found.store, made, left)
    found.store.close()
    assert verify_store(tmp_path / "store.db").broken_places == []


def assert_within_limits(
    store: StoreReader, made: dict[str, Decision], left: dict[str, int]
) -> None:
    """Mail that went, and mail that is planned still, keeps to cap and gap."""
    fates = store.fates(list(made))
    times: dict[str, list[int]] = defaultdict(list)
    for name, one in made.items():
        if one.scheduled_us is None:
            continue
        if name in left or name not in fates or fates[name].withdrawn_us is None:
            times[one.contact_id].append(left.get(name, one.scheduled_us))
    assert len(left) >= 5
    assert sum(map(len, times.values())) >= 8
    bins = [(one.episode_id, one.step) for one in made.values()]
    assert len(set(bins)) == len(bins)  # no bin was decided twice
    for some in times.values():
        some.sort()
        assert all(b - a >= _GAP_US for a, b in pairwise(some))
        assert all(b - a >= _WEEK_US for a, b in zip(some, some[_CAP:], strict=False))
