"""Limits of all contacts together hold for servers of one store that serve other journeys."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.crowd_limits import VolumeRamp
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.crowd import Crowd
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.on_postgresql import PostgresDatabase
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.postgres import PostgresServer
from tests.unit.serving.worker import MORNING, PIECES, scenes

SETTINGS = ServerSettings("Europe/Berlin", True, lambda: MORNING)


def _bundle(plain: Bundle, journey: Journey, policy: str) -> Bundle:
    catalog, spec = ActionCatalog.of(journey), FeatureSpec.of(journey)
    made = build_policy(policy, PolicyContext(journey, catalog, spec))
    return replace(plain, journey=journey, catalog=catalog, feature_spec=spec, policy=made)


@pytest.mark.parametrize("limit", ["inventory", "volume"])
def test_nobody_decides_beside_a_server_of_another_journey(
    bundle: Bundle, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    scene, url = scenes()[0], postgres.fresh_url()
    own = scene.journey
    if limit == "volume":  # of all mail, whichever journey it is of
        ramp = VolumeRamp(warm_up=(PIECES,))
        own = replace(own, guardrails=replace(own.guardrails, volume=ramp))
    other = replace(own, name="other")
    first, further = (_bundle(bundle, one, scene.policy) for one in (own, other))
    with closing(Store(url)) as one, closing(Store(url)) as two:
        one.put_contacts(scene.contacts)
        served = Service(first, one, SETTINGS)
        beside = (
            Service(further, two, SETTINGS)
            if limit == "volume"
            else Service(further, two, SETTINGS, None, [first])
        )
        assert isinstance(two._database, PostgresDatabase)
        real, refused = Crowd.shared, list[str]()

        def shared(crowd: Crowd, *given: Any) -> Any:
            made = real(crowd, *given)
            if not refused:  # decided, and not stored yet
                refused.append("")
                for connection in two._database._connections._idle:  # type: ignore[attr-defined]
                    connection.execute("SET lock_timeout = '200ms'")
                with pytest.raises(StoreUnavailable, match="lock timeout"):
                    beside.decide([Ask("c1")], MORNING)
            return made

        monkeypatch.setattr(Crowd, "shared", shared)
        (made,) = served.decide([Ask("c0")], MORNING)
        assert isinstance(made, Decision)
        assert refused
        (later,) = beside.decide([Ask("c1")], MORNING)
        assert isinstance(later, Decision)
