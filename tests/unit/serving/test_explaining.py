"""Why a decision was made: from its stored row, checked by making it again, and told in words."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from litestar.testing import TestClient

from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.guardrails import Reason
from nurture_rl.cli.main import main
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, Spec
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving import roles
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.reason_words import REASON_WORDS
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.http.explain_wire import Explanation
from nurture_rl.serving.http.explaining import DecisionRecord, explained, next_decision, recorded
from nurture_rl.serving.http.feature_effects import feature_effects, reference_features
from nurture_rl.serving.roles import SwitchTo
from nurture_rl.serving.storage.store import Store
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event, follow, service

MORNING = MIDNIGHT + 7 * HOUR_US


class Reader:
    """A policy that looks at one feature: the larger it is, the surer it waits."""

    def __init__(self, column: int, wait: int) -> None:
        self._column, self._wait = column, wait

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """The chance of waiting is x / (1 + x)."""
        x = np.abs(features[:, self._column].astype(np.float64))
        table = np.where(mask, 1.0, 0.0)
        table[:, self._wait] = 0.0
        others = table.sum(axis=1)
        share = np.where(others > 0.0, 1.0 / (1.0 + x), 0.0)
        table *= (share / np.maximum(others, 1.0))[:, None]
        table[:, self._wait] = 1.0 - share
        return table

    def spec(self) -> Spec:
        """It is never written."""
        return {"kind": "reader"}


@pytest.fixture
def served(bundle: Bundle, tmp_path: Path) -> Iterator[Service]:
    found = service(bundle, tmp_path / "store.db", Clock(MORNING))
    yield found
    found.store.close()


def decide(served: Service, name: str = "ada", request_id: str = "r-1") -> None:
    served.decide([Ask(name, request_id)])


def why(served: Service, request_id: str = "r-1") -> Explanation:
    found = recorded(served.store, request_id, ZONE, served.seed)
    assert found is not None
    return explained(found, served.policies.bundles.values(), served.catalogs)


def test_every_guardrail_has_words() -> None:
    assert set(REASON_WORDS) == {str(reason.name).lower() for reason in Reason}
    assert len(set(REASON_WORDS.values())) == len(REASON_WORDS)


def test_an_explanation_tells_the_stored_row_and_makes_it_again(
    served: Service, bundle: Bundle
) -> None:
    for i in range(12):
        served.settings.clock.now_us = MORNING + i * DAY_US  # type: ignore[attr-defined]
        decide(served, "ada", f"r-{i}")
        decision = served.store.decisions([f"r-{i}"])[f"r-{i}"]
        found = why(served, f"r-{i}")
        assert (found.action, found.propensity) == (decision.action, decision.propensity)
        assert (found.layer, found.policy_id) == ("policy", bundle.policy_id)
        assert found.replay.bit_equal is True
        chances = {one.action: one.probability for one in found.actions}
        assert chances == dict(zip(bundle.catalog.ids, decision.probabilities, strict=True))
        assert {one.action for one in found.actions if one.forbidden_by} == {
            name for name, bits in zip(bundle.catalog.ids, decision.reasons, strict=True) if bits
        }
        # The number drawn lies in the piece of [0, 1) that belongs to the action.
        upper = np.cumsum(decision.probabilities)[bundle.catalog.index(decision.action)]
        assert found.luck is not None
        assert upper - decision.propensity <= found.luck < upper
        assert found.explored is (decision.propensity < max(decision.probabilities))


def test_of_several_likeliest_actions_each_may_be_drawn_without_exploring(served: Service) -> None:
    decide(served)
    found = recorded(served.store, "r-1", ZONE, served.seed)
    assert found is not None
    ids = served.bundle.catalog.ids
    table = tuple(0.5 if i < 2 else 0.0 for i in range(len(ids)))
    for i in range(2):
        drawn = replace(found.decision, action=ids[i], propensity=0.5, probabilities=table)
        told = explained(replace(found, decision=drawn), [], served.catalogs)
        assert (told.explored, told.most_likely) == (False, ids[0])
        assert any("No other action was likelier" in line for line in told.text)


def test_the_words_say_what_the_data_say(served: Service) -> None:
    served.append_events([event("open", MORNING - DAY_US, "ada", is_machine=False)])
    decide(served)
    found = why(served)
    text = "\n".join(found.text)
    assert found.decided_at in found.text[0]
    assert "contact ada" in found.text[0]
    assert "bit for bit" in text
    assert "Next decision: 2027-03-01T" in text
    assert any(line.startswith("Possible: ") and "pause:1" in line for line in found.text)
    for one in found.actions:
        for words in one.why_forbidden:
            assert words in text


def test_the_effect_of_a_feature_is_what_its_reference_changes(
    served: Service, bundle: Bundle
) -> None:
    spec, wait = bundle.feature_spec, bundle.catalog.wait
    column = spec.column("company_size")
    policy = Reader(column, wait)
    follow(served, policy)
    decide(served)
    decision = served.store.decisions(["r-1"])["r-1"]
    assert decision.features is not None
    found = feature_effects(spec, policy, decision, bundle.catalog.index(decision.action))
    value, instead = decision.features[column], float(reference_features(spec, 0, 0)[column])
    assert (value, instead) == (5.0, 4.0)  # a company of whom nobody said the size counts as 4
    (effect,) = found.effects
    assert (effect.feature, effect.values) == ("company_size", {"company_size": 5.0})
    waits = decision.action == bundle.catalog.ids[wait]
    others = sum(decision.mask) - 1
    before, after = (5 / 6, 4 / 5) if waits else (1 / 6 / others, 1 / 5 / others)
    assert decision.propensity == pytest.approx(before, abs=1e-12)
    assert effect.effect == pytest.approx(before - after, abs=1e-12)
    assert found.unchanged == len(spec.features) - 1


def test_the_reference_is_a_contact_of_whom_nothing_is_known(bundle: Bundle) -> None:
    spec = bundle.feature_spec
    found = dict(zip(spec.columns, reference_features(spec, 3, 0).tolist(), strict=True))
    for feature in spec.features:
        (first, *_) = spec.names(feature)
        if feature.kind == "recency":
            assert found[first] == feature.window  # as long ago as it can be, not just now
        elif feature.kind in ("count", "sum", "ever", "ratio", "streak", "memory"):
            assert found[first] == 0.0
        elif feature.kind == "calendar" and feature.part == "bin":
            assert found[first] == 3.0  # the moment is the decision's own


def test_a_decision_that_does_not_come_out_again_is_said_to(served: Service) -> None:
    decide(served)
    follow(served, Reader(0, served.bundle.catalog.wait))
    found = why(served)
    assert found.replay.bit_equal is False
    assert any("does NOT give the same decision" in line for line in found.text)


def test_who_decided_is_told_for_every_layer(bundle: Bundle, tmp_path: Path) -> None:
    switches: tuple[tuple[SwitchTo, str], ...] = (("rules", "rules"), ("pause", "switch"))
    for to, layer in switches:
        served = service(bundle, tmp_path / f"{to}.db", Clock(MORNING))
        served.policies.change(f"switch to {to}", None, roles.switched(to), "a test", "a test")
        decide(served)
        found = why(served)
        assert (found.layer, found.replay.bit_equal) == (layer, True)
        assert f"the switch stands at {to}" in str(found.note)
        assert (found.luck is None) is (to == "pause")
        assert any(line.startswith("Who decided: ") and to in line for line in found.text)
        served.store.close()


def test_a_failure_of_all_layers_is_told(served: Service) -> None:
    decide(served)
    found = recorded(served.store, "r-1", ZONE, served.seed)
    assert found is not None
    failed = replace(found.decision, policy_id="fail_closed", note="ValueError: no")
    told = explained(replace(found, decision=failed), [], served.catalogs)
    assert (told.layer, told.luck, told.replay.bit_equal) == ("failure", None, None)
    assert any("nobody could decide" in line and "ValueError: no" in line for line in told.text)


def test_without_the_bundle_the_row_is_told_and_nothing_is_made_up(served: Service) -> None:
    decide(served)
    found = recorded(served.store, "r-1", ZONE, served.seed)
    assert found is not None
    told = explained(found, [], served.catalogs)
    assert (told.layer, told.bundle, told.features) == ("unknown", None, None)
    assert (told.replay.bit_equal, told.next_decision_at) == (None, None)
    assert len(told.actions) == len(served.bundle.catalog)
    lost = explained(found, [], {})  # the catalogue is gone too
    assert [one.action for one in lost.actions] == [found.decision.action]
    assert lost.text


def test_what_came_after_is_told(served: Service) -> None:
    bundle = served.bundle
    send = next(name for name in reversed(bundle.catalog.ids) if name.startswith("send:"))
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    follow(served, build_policy(f"always:{send}", context))
    decide(served)
    assert (why(served).status, why(served).events) == ("planned", [])
    served.append_events([event("complaint", MORNING, "ada")])
    found = why(served)
    assert (found.status, found.withdrawn_because) == ("withdrawn", "opted_out")
    assert any("it was withdrawn at 2027-03-01T06:00:00Z: opted_out" in one for one in found.text)
    served.append_events([event("delivered", MORNING, "ada", decision_id="r-1")])
    found = why(served)  # it had left all the same
    assert (found.status, [one.type for one in found.events]) == ("sent", ["delivered"])
    assert any("delivered (told by unknown)" in line for line in found.text)


def record(served: Service, action: str, **cells: Any) -> DecisionRecord:
    found = recorded(served.store, "r-1", ZONE, served.seed)
    assert found is not None
    return replace(found, decision=replace(found.decision, action=action, **cells))


def test_the_next_decision_is_the_next_bin_after_any_pause(served: Service) -> None:
    decide(served)
    journey = served.bundle.journey

    def after(action: str, **cells: Any) -> str | None:
        return next_decision(record(served, action, **cells), journey)

    one = after("send:welcome@now", step=0)
    assert one == after("pause:1", step=0) == after("send:welcome@now", step=0)
    assert one is not None
    assert one != after("pause:3", step=0) == after("pause:1", step=2)
    assert after("exit") is None
    assert after("pause:1", step=journey.clock.horizon - 1) is None
    # Clocks in Berlin were set forward on 2027-03-28: the bin begins an hour earlier in UTC.
    start = record(served, "pause:1", step=0).decision.anchor_us
    later = after("pause:1", anchor_us=start + 30 * DAY_US, step=0)
    assert later is not None
    assert int(one[11:13]) - int(later[11:13]) in (1, -23)


def test_over_http_it_needs_no_more_than_reading(served: Service) -> None:
    with TestClient(create_app(served)) as client:
        body = {"contacts": [{"contact_id": "ada", "request_id": "r-1"}]}
        (made,) = client.post("/v1/decisions", json=body).json()["decisions"]
        found = client.get("/v1/decisions/r-1/explain")
        assert found.status_code == 200
        told = found.json()
        assert (told["action"], told["propensity"]) == (made["action"], made["propensity"])
        assert {
            one["action"]: one["forbidden_by"] for one in told["actions"] if one["forbidden_by"]
        } == made["blocked"]
        for nasty in ("r-2", "' OR 1=1 --", "a\r\nb", "a" * 500, "%00", "../r-1"):
            answer = client.get(f"/v1/decisions/{quote(nasty, safe='')}/explain")
            assert answer.status_code == 404


def test_the_verb_prints_the_words_and_its_code_says_what_did_not_come_out(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, file = Store(tmp_path / "store.db"), tmp_path / "store.db"
    store.put_contacts([contact("ada")])
    served = Service(bundle, store, ServerSettings(ZONE, False, Clock(MORNING)))
    decide(served)
    expected = why(served)
    store.close()
    small_bundle(tmp_path / "runs" / "stages" / "release-1" / "bundle")
    words = ["explain", f"store={file}", "decision=r-1", f"runs={tmp_path / 'runs'}"]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == expected.text
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {name: told[name] for name in ("action", "luck")} == {
        "action": expected.action,
        "luck": expected.luck,
    }
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE decisions SET propensity = propensity / 2")
    assert main(words) == 3
    assert "does NOT give the same decision again" in capsys.readouterr().out
    assert main([*words[:2], "decision=gone"]) == 2
    assert "expected the id of a decision" in capsys.readouterr().err
    assert main([*words[:3], f"runs={tmp_path / 'none'}"]) == 0
    assert "bundle is not at hand" in capsys.readouterr().out
