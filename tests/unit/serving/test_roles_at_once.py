"""Roles that two servers of a store change at the same moment: no change is lost, none is torn."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

import pytest
from litestar.testing import TestClient

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving import roles
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.served_journey import JourneyLog
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.roles import PolicyChange
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import ZONE, contact
from tests.unit.serving.lives import RunningClock, bundles_in, tell, until
from tests.unit.serving.trials import trial_bundle

Start = Callable[..., Service]


@pytest.fixture
def start(postgres: PostgresServer, tmp_path: Path) -> Iterator[Start]:
    """Starts servers of one store: of a bundle, of further journeys, with a folder or without."""
    url, whole = postgres.fresh_url(), BundleFolder(tmp_path)
    with ExitStack() as stack:

        def started(
            bundle: Bundle, *further: Bundle, folder: BundleFolder | None = whole
        ) -> Service:
            store = stack.enter_context(closing(Store(url)))
            settings = ServerSettings(ZONE, False, RunningClock(), seed=11)
            return Service(bundle, store, settings, folder, further)

        yield started


def once(work: Callable[[], object]) -> Callable[[], None]:
    """Does it at the first call alone, also where the work calls it again."""
    left = [work]

    def does() -> None:
        if left:
            left.pop()()

    return does


def pause(service: Service) -> None:
    service.policies.change("switch to pause", None, roles.switched("pause"), "ops", "stop")


def before_roles_are_held(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do something right before roles are held for the first time from now on."""
    first, real = once(work), JourneyLog.roles_held

    def held(self: JourneyLog) -> AbstractContextManager[None]:
        first()
        return real(self)

    monkeypatch.setattr(JourneyLog, "roles_held", held)


def test_a_pause_is_kept_while_another_server_starts_without_a_bundle_of_the_last_run(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundles_in(tmp_path)
    first = start(made["first"])
    first.policies.load("second", "ops", "try it")
    shutil.rmtree(tmp_path / "second")
    stop, real = once(lambda: pause(first)), BundleFolder.load

    def loading(self: BundleFolder, name: str, own: Bundle) -> Bundle:
        stop()
        return real(self, name, own)

    monkeypatch.setattr(BundleFolder, "load", loading)
    second = start(made["first"])
    assert second.policies.lineup.paused
    assert second.policies.changes[-1].action == "start"
    first.policies.follow()
    assert first.policies.lineup.paused


def test_a_pause_is_kept_while_another_server_begins_an_experiment(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start(trial_bundle(tmp_path / "plain", None), folder=None)
    with_arms = trial_bundle(tmp_path / "spring")
    before_roles_are_held(monkeypatch, lambda: pause(first))
    second = start(with_arms, folder=None)
    assert second.policies.lineup.paused
    assert second.policies.plan is not None
    assert [one.after.switch for one in second.policies.changes[-2:]] == ["pause", "pause"]


def test_a_pause_waits_for_no_second_try_while_another_server_changes_roles(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundles_in(tmp_path)
    first, second = start(made["first"]), start(made["first"])
    name = first.policies.load("second", "ops", "try it")
    second.policies.follow()
    before_roles_are_held(
        monkeypatch,
        lambda: first.policies.change("promote", name, roles.promoted(name), "ops", "good"),
    )
    pause(second)
    held = second.policies.lineup.roles
    assert (held.champion, held.switch) == (name, "pause")
    first.policies.follow()
    assert first.policies.lineup.roles == held


def test_a_server_without_bundles_keeps_a_pause_that_comes_while_it_ends_an_experiment(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = trial_bundle(tmp_path / "spring")
    first, second = start(bundle, folder=None), start(bundle, folder=None)
    before_roles_are_held(monkeypatch, lambda: pause(first))
    second.policies.change("end experiment", None, roles.ended(), "ops", "done")
    assert second.policies.lineup.paused
    first.policies.follow()
    assert first.policies.lineup.paused


def test_who_resumes_a_journey_goes_back_to_what_another_server_set_before_its_pause(
    start: Start, tmp_path: Path
) -> None:
    made = bundles_in(tmp_path)
    first, second = start(made["first"]), start(made["first"])
    first.policies.change("switch to rules", None, roles.switched("rules"), "ops", "try")
    pause(first)
    with TestClient(create_app(second)) as client:
        tell(client, "journeys/inbound_lead/resume")
    assert second.policies.lineup.roles.switch == "rules"
    assert second.policies.changes[-1].action == "switch to rules"


def test_an_older_look_at_the_log_takes_back_no_moment(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundles_in(tmp_path)
    first, second = start(made["first"]), start(made["first"])
    name = first.policies.load("second", "ops", "try it")
    first.policies.change("canary", name, roles.canary(name, 0.5), "ops", "try it")
    second.policies.follow()
    first.policies.change("rollback", name, roles.stopped(name), "ops", "no")
    second.policies.follow()
    real = JourneyLog.policy_changes
    change = once(
        lambda: second.policies.change("canary", name, roles.canary(name, 0.2), "ops", "again")
    )

    def read(self: JourneyLog) -> list[PolicyChange]:
        told = list(real(self))
        change()  # of which this look does not know
        return told

    monkeypatch.setattr(JourneyLog, "policy_changes", read)
    second.policies._note_all()
    assert second.policies.since(name) == second.policies.changes[-1].at_us


def test_a_policy_of_a_further_journey_that_another_server_loaded_can_have_a_role_at_once(
    start: Start, tmp_path: Path
) -> None:
    made, later = bundles_in(tmp_path), trial_bundle(tmp_path / "later", None, journey="later")
    trial_bundle(tmp_path / "better", None, {"kind": "drip"}, journey="later")
    first, second = start(made["first"], later), start(made["first"], later)
    name = first.journeys.named("later").policies.load("better", "ops", "try it")
    with TestClient(create_app(second)) as client:
        tell(client, f"policies/{name}/promote")
    assert second.journeys.named("later").policies.lineup.roles.champion == name


def test_a_database_that_goes_away_while_a_bundle_is_loaded_beside_ends_no_thread(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundles_in(tmp_path)
    first, second = start(made["first"]), start(made["first"])
    first.store.put_contacts([contact("ada")])
    name = first.policies.load("second", "ops", "try it")
    first.policies.change("promote", name, roles.promoted(name), "ops", "good")
    ended, asked, real = list[object](), threading.Event(), JourneyLog.policy_changes

    def away(self: JourneyLog) -> list[PolicyChange]:
        asked.set()
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(threading, "excepthook", ended.append)
    monkeypatch.setattr(JourneyLog, "policy_changes", away)
    second.decide([Ask("ada")])
    assert asked.wait(20.0)
    until(lambda: not second.policies._loading.locked())
    monkeypatch.setattr(JourneyLog, "policy_changes", real)
    until(lambda: not any(t.name.endswith("(_load_beside)") for t in threading.enumerate()))
    assert ended == []
    second.policies.follow()
    assert second.policies.lineup.roles.champion == name
