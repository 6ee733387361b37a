"""A server that sees or does something else than before raises an alert, and a healthy one none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.errors import NurtureError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding import array_pass
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.policies.active_policies import canary_arm
from nurture_rl.serving.roles import canary, switched_in
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.watching.monitoring import MonitorOptions, monitor
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import ATTRIBUTES, MIDNIGHT, Clock, contact, event, follow, service
from tests.unit.serving.lives import bundles_in, served

BEFORE, NOW = 7, 7  # days: the same weekdays
PEOPLE = 60  # whose episode begins each day


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle") / "bundle"


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return small_bundle(folder)


class Failing:
    """A policy that fails."""

    def __init__(self, whole: Any) -> None:
        self.whole = whole
        self.spec = whole.spec

    def action_probabilities(self, features: Any, mask: Any) -> Any:
        raise ValueError("broken")


def lived(bundle: Bundle, path: Path, **injected: Any) -> str:
    """A store of some days; what is injected holds on the latest days."""
    clock = Clock(MIDNIGHT)
    served = service(bundle, path, clock)
    with closing(served.store):
        for day in range(BEFORE + NOW):
            clock.now_us = MIDNIGHT + day * DAY_US + DAY_US // 3
            _day(served, day, injected if day >= BEFORE else {})
    return str(path)


def _day(served: Service, day: int, injected: dict[str, Any]) -> None:
    now_us = served.settings.clock()
    names = [f"p{day}-{i}" for i in range(PEOPLE)]
    sizes = [injected.get("size", 5) if i % 2 else 5 for i in range(PEOPLE)]
    without = injected.get("without", {})
    served.store.put_contacts(
        [
            contact(name, attributes={**ATTRIBUTES, "company_size": size, **without})
            for name, size in zip(names, sizes, strict=True)
        ]
    )
    if injected.get("draws_the_likeliest"):
        injected["patch"].setattr(array_pass, "sample_actions", lambda table, _: table.argmax(1))
    if injected.get("fails"):
        follow(served, Failing(served.bundle.policy))
    served.decide([Ask(name) for name in names])
    if not injected.get("silent"):
        visits = [event("page_view", now_us, name, page_category="pricing") for name in names[:24]]
        served.append_events(visits)


def alerts(store: str, folder: Path, **changes: Any) -> list[str]:
    options = MonitorOptions(store, str(folder), days=NOW, before=BEFORE)
    found = monitor(replace(options, **changes))
    assert found.code == (3 if found.made["alerts"] else 0)
    return list(found.made["alerts"])


def test_a_healthy_server_raises_no_alert(
    bundle: Bundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert alerts(lived(bundle, tmp_path / "s.db"), folder) == []
    told = capsys.readouterr().out
    assert "420 decisions of 7 days against 420 of the 7 days before: no alert" in told
    assert "events page_view: 0.4 -> 0.4" in told
    assert "action send: " in told
    assert "feature company_size" not in told  # what did not move is counted, not listed
    assert "45 features moved by less than 0.1" in told


def test_a_feature_that_moved_is_named_and_no_other(
    bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    found = alerts(lived(bundle, tmp_path / "s.db", size=500), folder)
    assert found
    assert all("company_size" in name for name in found)


def test_events_that_stopped_are_named(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    store = lived(bundle, tmp_path / "s.db", silent=True)
    assert alerts(store, folder) == ["events page_view"]
    assert alerts(store, folder, max_rate_change=1.5) == []


def test_a_policy_that_fails_is_named(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    store = lived(bundle, tmp_path / "s.db", fails=True)
    found = alerts(store, folder)
    assert "not by the policy" in found
    assert "without exploration" in found  # the rules choose one action
    assert "without exploration" not in alerts(store, folder, max_certain=1.0)
    assert "not by the policy" not in alerts(store, folder, max_failed=1.0)


def test_attributes_that_are_missing_now_are_named(
    bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    store = lived(bundle, tmp_path / "s.db", without={"form_topic": None})
    found = alerts(store, folder)
    assert "null form_topic" in found
    assert all("form_topic" in name for name in found)
    assert "null form_topic" not in alerts(store, folder, max_null_rise=1.0)
    lost = lived(bundle, tmp_path / "number.db", without={"company_size": "not a number"})
    assert "null company_size" in alerts(lost, folder)


def test_draws_that_do_not_fit_their_propensities_are_named(
    bundle: Bundle, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    store = lived(bundle, path, draws_the_likeliest=True, patch=monkeypatch)
    (found,) = (name for name in alerts(store, folder) if name.startswith("calibration "))
    assert found.removeprefix("calibration ") in bundle.catalog.ids


def test_a_propensity_that_is_not_that_of_its_action_is_named(
    bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    store = lived(bundle, tmp_path / "s.db")
    with closing(sqlite3.connect(store)) as database, database:
        latest = "SELECT decision_id FROM decisions ORDER BY decided_us DESC LIMIT 1"
        database.execute(
            f"UPDATE decisions SET propensity = propensity / 2 WHERE decision_id = ({latest})"
        )
    assert alerts(store, folder) == ["wrong propensity"]


def test_propensities_below_the_floor_are_named(
    bundle: Bundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = lived(bundle, tmp_path / "s.db")
    assert alerts(store, folder, floor=0.2) == ["propensity below 0.2"]
    assert "the smallest propensity is 0.0" in capsys.readouterr().out
    assert alerts(store, folder, floor=0.2, max_below=1.0) == []


@pytest.mark.parametrize(("really", "asked"), [(0.9, 0.9), (0.9, 0.2), (0.2, 0.9)])
def test_a_canary_with_another_share_than_it_was_given_is_named(
    folder: Path, tmp_path: Path, really: float, asked: float
) -> None:
    bundles, clock = bundles_in(tmp_path / "bundles"), Clock(MIDNIGHT + DAY_US // 3)
    new = bundles["second"].policy_id
    with closing(Store(tmp_path / "s.db")) as store:
        found = served(tmp_path / "bundles", bundles["first"], store, clock)
        found.policies.load("second", "a test", "why")
        found.policies.change("canary", new, canary(new, really), "a test", "why")
        (*_, told) = store.policy_changes("inbound_lead")
        given = replace(told.after, share=asked)
        store.add_policy_change(replace(told, before=told.after, after=given), "inbound_lead")
        clock.now_us += 1
        store.put_contacts([contact(f"c{i}") for i in range(300)])
        found.decide([Ask(f"c{i}") for i in range(300)])
    alert = [f"arm {canary_arm(new)}"] if really != asked else []
    assert alerts(str(tmp_path / "s.db"), folder) == alert


def test_a_stage_on_rules_is_no_failure(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    clock = Clock(MIDNIGHT + DAY_US // 3)
    found = service(bundle, tmp_path / "s.db", clock)
    with closing(found.store):
        stages = ("mql", "none")
        switch = switched_in("none", "rules", stages)
        found.policies.change("switch", None, switch, "a test", "why")
        found.decide([Ask("ada"), Ask("bob")])
    assert "not by the policy" not in alerts(str(tmp_path / "s.db"), folder)


def test_what_cannot_be_compared_is_refused(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    empty = service(bundle, tmp_path / "s.db", Clock())
    empty.store.close()
    with pytest.raises(NurtureError, match="expected decisions of journey inbound_lead"):
        alerts(str(tmp_path / "s.db"), folder)
    for name, value in (
        ("days", 0),
        ("before", 0),
        ("max_failed", 1.1),
        ("max_certain", -0.1),
        ("max_shift", float("nan")),
        ("max_rate_change", -1.0),
        ("max_null_rise", 1.5),
        ("floor", -0.1),
        ("max_below", float("nan")),
    ):
        with pytest.raises(NurtureError, match=f"^{name}: expected"):
            alerts("nowhere.db", folder, **{name: value})
    with pytest.raises(NurtureError, match=r"nowhere\.db"):
        alerts(str(tmp_path / "nowhere.db"), folder)
