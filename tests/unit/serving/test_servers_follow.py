"""A server of a PostgreSQL store takes up what another one changed, and waits for no bundle."""

from __future__ import annotations

import shutil
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from nurture_rl.release.bundle import Bundle, write_bundle
from nurture_rl.serving import roles
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.http.policy_wire import policies_out
from nurture_rl.serving.http.wire import iso
from nurture_rl.serving.policies.active_policies import ActivePolicies
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.postgres import PostgresServer
from tests.unit.release.bundles import CREATED, content
from tests.unit.serving.contacts import contact
from tests.unit.serving.lives import RunningClock, bundles_in, served, until


def test_a_change_of_policies_at_one_server_holds_at_another(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url, made = postgres.fresh_url(), bundles_in(tmp_path)
    with closing(Store(url)) as one, closing(Store(url)) as other:
        one.put_contacts([contact(f"p{i}") for i in range(4)])
        first, second = (
            served(tmp_path, made["first"], store, RunningClock()) for store in (one, other)
        )
        first.policies.load("second", "ops", "try it")
        promoted = made["second"].policy_id
        second.policies.change("promote", promoted, roles.promoted(promoted), "ops", "good")
        first.policies.follow()
        (answer,) = first.decide([Ask("p0")])
        assert getattr(answer, "policy_id", None) == promoted
        first.policies.change("switch", None, roles.switched("pause"), "ops", "stop")
        (answer,) = second.decide([Ask("p1")])
        assert getattr(answer, "action", None) == "pause:1"
        shutil.rmtree(tmp_path / "third")
        write_bundle(tmp_path / "third", content({"kind": "drip"}), CREATED)
        first.policies.load("third", "ops", "try it")
        shutil.rmtree(tmp_path / "third")
        named = first.policies.lineup.roles.folders
        (lost,) = (name for name, folder in named.items() if folder == "third")
        first.policies.change("promote", lost, roles.promoted(lost), "ops", "good")
        with suppress(StoreUnavailable):  # what is looked for beside the work may be missed by now
            second.decide([Ask("p2")])
        until(lambda: lost in second.policies._lost)
        with pytest.raises(StoreUnavailable, match="cannot follow another one"):
            second.decide([Ask("p3")])


def test_a_bundle_that_loads_for_long_holds_no_decision_up(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, made = postgres.fresh_url(), bundles_in(tmp_path)
    with closing(Store(url)) as one, closing(Store(url)) as other:
        one.put_contacts([contact(f"p{i}") for i in range(4)])
        first, second = (
            served(tmp_path, made["first"], store, RunningClock()) for store in (one, other)
        )
        promoted = first.policies.load("second", "ops", "try it")
        first.policies.change("promote", promoted, roles.promoted(promoted), "ops", "good")
        read, real = threading.Event(), BundleFolder.load

        def slow(self: BundleFolder, name: str, own: Bundle) -> Bundle:
            assert read.wait(20.0)
            return real(self, name, own)

        monkeypatch.setattr(BundleFolder, "load", slow)
        (answer,) = second.decide([Ask("p0")])
        assert getattr(answer, "policy_id", None) == made["first"].policy_id
        first.policies.change("switch", None, roles.switched("pause"), "ops", "stop")
        (answer,) = second.decide([Ask("p1")])
        assert getattr(answer, "action", None) == "pause:1"  # a pause waits for nothing
        first.policies.change("switch", None, roles.switched("learned"), "ops", "go on")
        read.set()
        until(lambda: promoted in second.policies.bundles)
        (answer,) = second.decide([Ask("p2")])
        assert getattr(answer, "policy_id", None) == promoted
        assert second.policies.lineup.roles == first.policies.lineup.roles


def test_what_another_server_loaded_is_listed_with_its_moment_before_its_roles_are_taken_up(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, made = postgres.fresh_url(), bundles_in(tmp_path)
    with closing(Store(url)) as one, closing(Store(url)) as other:
        first, second = (
            served(tmp_path, made["first"], store, RunningClock()) for store in (one, other)
        )
        promoted = first.policies.load("second", "ops", "try it")
        first.policies.change("promote", promoted, roles.promoted(promoted), "ops", "good")
        listed, real = dict[str, str | None](), ActivePolicies._take_last

        def listing(self: ActivePolicies) -> None:
            found = policies_out({"nurture": self}, 0).policies
            listed.update({row.policy_id: row.since for row in found})
            real(self)

        monkeypatch.setattr(ActivePolicies, "_take_last", listing)
        second.policies.follow()
        assert listed[promoted] == iso(first.policies.since(promoted))
