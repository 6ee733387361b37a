"""Limits of all contacts together hold over the journeys of one server, which count once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import HOUR_US
from nurture_envs.features import FeatureSpec
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Answer
from nurture_rl.serving.storage.reading import StoreReader
from tests.unit.serving.test_accounts import journey
from tests.unit.serving.test_crowd import GMAIL, PEOPLE, Crowded, at_once

BOTH = pytest.mark.usefixtures("either_database")


class TwoJourneys(Crowded):
    """The same people in two journeys of one server, every second one in each."""

    def serving(self, policy: str, name: str = "toy") -> Service:
        made = []
        for one in ("toy", "other"):
            own = replace(journey(account=None, **self.rails), name=one)
            catalog, spec = ActionCatalog.of(own), FeatureSpec.of(own)
            acts = build_policy(policy, PolicyContext(own, catalog, spec))
            whole = replace(self.bundle, journey=own, catalog=catalog, feature_spec=spec)
            made.append(replace(whole, policy=acts, policy_id=f"of-{one}"))
        first, *further = made
        settings = ServerSettings("UTC", False, self.clock, seed=1)
        return Service(first, self.store, settings, further=further)

    def ask(self, names: Sequence[str]) -> list[Answer]:
        at = self.clock.now_us
        homes = ["toy" if PEOPLE.index(name) % 4 < 2 else "other" for name in names]
        asks = [Ask(n, f"{n}-{at}", journey=own) for n, own in zip(names, homes, strict=True)]
        return self.served.decide(asks)


@BOTH
def test_journeys_of_one_server_share_a_limit_and_one_request_does_not_overrun_it(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = TwoJourneys(bundle, tmp_path / "s.db", volume={"warm_up": [3, 5, 7]})
    assert served.mailed(PEOPLE) == 3 + 3  # all of both journeys in one request
    served.next_day()
    assert at_once(served, PEOPLE) == 5 + 5
    served.restart("always:send:blue@15")
    served.next_day()
    assert at_once(served, GMAIL[:9]) == 7
    kept = [n for n in GMAIL if served.store.awaiting([n], served.clock.now_us)]
    for name in kept[:2]:
        served.served.put_contacts([replace(served.store.contacts([name])[name], consent=False)])
    served.clock.now_us += HOUR_US
    assert served.mailed(GMAIL[9:]) == 2  # in whichever journey the place was given back


@BOTH
def test_journeys_of_one_server_share_the_calls_that_sellers_take(
    bundle: Bundle, tmp_path: Path
) -> None:
    served = TwoJourneys(bundle, tmp_path / "s.db", seller_capacity={"per_day": 5})
    served.served = served.serving("always:escalate")
    assert served.mailed(PEOPLE[:12]) == 5
    assert served.mailed(PEOPLE[12:]) == 0


@BOTH
def test_journeys_of_one_server_count_their_mail_once(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = TwoJourneys(bundle, tmp_path / "s.db", volume={"warm_up": [3, 5, 7]})
    whole: list[object] = []
    real = StoreReader.sends_since

    def counting(self: StoreReader, since_us: int, names: Sequence[str] | None = None) -> Any:
        whole.append(names) if names is None else None
        return real(self, since_us, names)

    monkeypatch.setattr(StoreReader, "sends_since", counting)
    for i in range(0, len(PEOPLE), 4):
        served.mailed(PEOPLE[i : i + 4])
    assert whole == []  # nobody reads all the mail again
