"""Roles change by rules, are kept, and hold again after a restart where their bundles are there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.errors import BundleError
from nurture_rl.release.bundle import Bundle, BundleContent, write_bundle
from nurture_rl.serving import roles as changes
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.api_keys import load_keys
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.policies.bundle_folder import BundleFolder
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.postgres import PostgresServer
from tests.unit.release.bundles import CREATED, GUARDRAILS, content
from tests.unit.serving.contacts import Clock, service
from tests.unit.serving.lives import WHY, Client, bundles_in, served, tell


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Bundle]]:
    """A folder of bundles that no test changes."""
    folder = tmp_path_factory.mktemp("bundles")
    return folder, bundles_in(folder)


@pytest.fixture
def folder(made: tuple[Path, dict[str, Bundle]], tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(made[0], tmp_path / "bundles")
    return tmp_path / "bundles"


@pytest.fixture
def ids(made: tuple[Path, dict[str, Bundle]]) -> dict[str, str]:
    return {name: bundle.policy_id for name, bundle in made[1].items()}


class Lives:
    """One store, served by one server after the other."""

    def __init__(self, path: Path, folder: Path, bundles: dict[str, Bundle]) -> None:
        self.path, self.folder, self.bundles = path, folder, bundles
        self.store = Store(path)

    def start(self, first: str = "first") -> Service:
        """A new server on the same store."""
        self.store.close()
        self.store = Store(self.path)
        return served(self.folder, self.bundles[first], self.store, Clock())


@pytest.fixture
def lives(tmp_path: Path, folder: Path, made: tuple[Path, dict[str, Bundle]]) -> Iterator[Lives]:
    found = Lives(tmp_path / "s.db", folder, made[1])
    yield found
    found.store.close()


@pytest.fixture
def client(lives: Lives) -> Iterator[Client]:
    with TestClient(create_app(lives.start())) as found:
        yield found


def roles_of(found: Service) -> dict[str, Any]:
    """Who has which role."""
    roles = found.policies.lineup.roles
    names = ("champion", "canary", "share", "shadow", "previous", "switch")
    return {name: value for name in names if (value := getattr(roles, name))}


def test_changes_that_do_not_fit_are_refused_and_change_nothing(
    client: Client, ids: dict[str, str]
) -> None:
    first, second, third = (ids[name] for name in ("first", "second", "third"))
    assert "no policy" in tell(client, f"policies/{second}/promote", 404)["detail"]
    for name in ("second", "third"):
        tell(client, "policies", folder=name)
    refused = [
        (f"policies/{first}/shadow", {}, "is the champion and decides already"),
        (f"policies/{first}/canary", {"share": 0.5}, "is the champion"),
        (f"policies/{first}/promote", {}, "is the champion already"),
        (f"policies/{first}/rollback", {}, "no policy was champion before it"),
        (f"policies/{second}/rollback", {}, "has no role"),
    ]
    tell(client, f"policies/{third}/canary", share=0.5)
    refused += [
        (f"policies/{second}/canary", {"share": 0.5}, f"policy {third} is the canary"),
        (f"policies/{second}/promote", {}, f"policy {third} is the canary"),
        (f"policies/{third}/shadow", {}, "is the canary and decides already"),
    ]
    before = client.get("/v1/policies").json()
    for path, body, text in refused:
        assert text in tell(client, path, 409, **body)["detail"]
    for share in (0.0, 1.0, -0.1, "0.5", None):
        tell(client, f"policies/{third}/canary", 400, share=share)
    tell(client, "switch", 400, to="off")
    assert client.post(f"/v1/policies/{third}/promote", json={}).status_code == 400  # no reason
    assert client.get("/v1/policies").json() == before
    assert len(client.get("/v1/policies/log").json()["changes"]) == 4


def test_a_role_is_one_at_a_time_and_a_rollback_goes_one_back(
    client: Client, ids: dict[str, str]
) -> None:
    first, second = ids["first"], ids["second"]
    tell(client, "policies", folder="second")

    def roles(path: str, **body: Any) -> dict[str, str]:
        rows = tell(client, f"policies/{path}", **body)["policies"]
        return {row["policy_id"]: row["role"] for row in rows}

    assert roles(f"{second}/shadow") == {first: "champion", second: "shadow"}
    assert roles(f"{second}/canary", share=0.1) == {first: "champion", second: "canary"}
    assert roles(f"{second}/rollback") == {first: "champion", second: "loaded"}
    assert roles(f"{second}/promote") == {first: "previous", second: "champion"}
    assert roles(f"{first}/canary", share=0.1) == {first: "canary", second: "champion"}
    assert "no policy was champion" in tell(client, f"policies/{second}/rollback", 409)["detail"]
    assert roles(f"{first}/promote") == {first: "champion", second: "previous"}
    assert roles(f"{first}/rollback") == {first: "loaded", second: "champion"}


def test_every_change_is_in_the_log_with_who_and_why(
    lives: Lives, ids: dict[str, str], tmp_path: Path
) -> None:
    secret, path = "k" * 40, tmp_path / "keys"
    path.write_text(f"policies {secret}\n", "utf-8")
    path.chmod(0o600)
    headers = {"authorization": f"Bearer {secret}"}
    keys = load_keys(path)
    with TestClient(create_app(lives.start(), keys=keys)) as client:
        client.headers.update(headers)
        tell(client, "policies", folder="second", why="a new model")
        tell(client, f"policies/{ids['second']}/promote", why="it is better")
        text = client.get("/v1/policies/log").text
        start, load, promote = client.get("/v1/policies/log").json()["changes"]
    assert secret not in text
    assert (start["who"], start["from"]) == ("server", None)
    assert (load["who"], load["why"]) == (keys.name(f"Bearer {secret}"), "a new model")
    assert load["who"].startswith("key ")
    assert promote["policy_id"] == ids["second"]
    assert (promote["from"]["champion"], promote["to"]["champion"]) == (ids["first"], ids["second"])
    assert promote["at"] == "2027-02-28T23:00:00Z"


@pytest.mark.usefixtures("either_database")
def test_roles_and_switch_hold_again_after_a_restart(lives: Lives, ids: dict[str, str]) -> None:
    with TestClient(create_app(lives.start())) as client:
        for name in ("second", "third"):
            tell(client, "policies", folder=name)
        tell(client, f"policies/{ids['second']}/promote")
        tell(client, f"policies/{ids['third']}/canary", share=0.25)
        tell(client, "switch", to="rules")
        before, log = client.get("/v1/policies").json(), client.get("/v1/policies/log").json()
    again = lives.start()
    assert roles_of(again) == {
        "champion": ids["second"],
        "previous": ids["first"],
        "canary": ids["third"],
        "share": 0.25,
        "switch": "rules",
    }
    with TestClient(create_app(again)) as client:
        assert client.get("/v1/policies").json() == before
        assert client.get("/v1/policies/log").json() == log
        assert client.get("/healthz").json()["policy_id"] == ids["second"]


def test_a_champion_that_is_gone_stops_the_start_and_others_lose_their_role(
    lives: Lives, ids: dict[str, str]
) -> None:
    with TestClient(create_app(lives.start())) as client:
        for name in ("second", "third"):
            tell(client, "policies", folder=name)
        tell(client, f"policies/{ids['second']}/promote")
        tell(client, f"policies/{ids['third']}/canary", share=0.25)
    shutil.rmtree(lives.folder / "third")
    again = lives.start()
    assert roles_of(again) == {
        "champion": ids["second"],
        "previous": ids["first"],
        "switch": "learned",
    }
    last = again.policies.changes[-1]
    assert (last.who, last.action) == ("server", "start")
    assert f"policy {ids['third']} is gone: " in last.why
    shutil.rmtree(lives.folder / "second")
    shutil.copytree(lives.folder / "first", lives.folder / "second")
    with pytest.raises(
        BundleError, match=f"policy {ids['second']} is the champion .* holds policy"
    ):
        lives.start()
    alone = service(lives.bundles["first"], lives.path.with_name("other.db"), Clock())
    assert roles_of(alone) == {"champion": ids["first"], "switch": "learned"}


def test_without_other_bundles_the_given_one_is_champion_and_the_switch_stays(
    lives: Lives, ids: dict[str, str]
) -> None:
    with TestClient(create_app(lives.start())) as client:
        tell(client, "policies", folder="second")
        tell(client, f"policies/{ids['second']}/promote")
        tell(client, "switch", to="pause")
    settings = lives.start().settings
    alone = Service(lives.bundles["third"], lives.store, settings)
    assert roles_of(alone) == {"champion": ids["third"], "switch": "pause"}
    with TestClient(create_app(alone)) as client:
        assert "bundles=FOLDER" in tell(client, "policies", 409, folder="second")["detail"]


@pytest.mark.parametrize(
    "name",
    [
        "../first",
        "..",
        ".",
        "first/../second",
        "/etc",
        "\\\\x",
        "",
        "link",
        "none",
        "a\0b",
        "ü" * 200,
    ],
)
def test_no_other_folder_is_read(client: Client, lives: Lives, name: str) -> None:
    (lives.folder / "link").symlink_to(lives.folder / "second")
    tell(client, "policies", 400, folder=name)
    assert len(client.get("/v1/policies").json()["policies"]) == 1


def test_a_folder_of_bundles_is_there_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected a folder with a folder for each bundle"):
        BundleFolder(tmp_path / "nowhere")


def _changed(**changes: Any) -> BundleContent:
    plain = {**load_journey("inbound_lead").resolved, "guardrails": GUARDRAILS, **changes}
    own = content()
    return BundleContent(parse_journey(plain), own.spec, None, own.states, own.card)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"guardrails": {**GUARDRAILS, "quiet_hours": [22, 6]}}, "another guardrails"),
        ({"guardrails": {**GUARDRAILS, "opt_out": ["complained"]}}, "another guardrails"),
        ({"journey": "another_journey"}, "another name"),
    ],
)
def test_a_bundle_of_other_guardrails_or_another_journey_is_refused(
    client: Client, lives: Lives, changes: dict[str, Any], text: str
) -> None:
    write_bundle(lives.folder / "other", _changed(**changes), CREATED)
    assert text in tell(client, "policies", 400, folder="other")["detail"]


def test_a_bundle_with_other_rules_of_the_same_journey_fits(client: Client, lives: Lives) -> None:
    write_bundle(lives.folder / "other", _changed(rules=[], limits={}), CREATED)
    assert len(tell(client, "policies", folder="other")["policies"]) == 2


def test_a_broken_bundle_is_refused_and_the_server_goes_on(client: Client, lives: Lives) -> None:
    path = lives.folder / "second" / "policy.json"
    path.write_bytes(path.read_bytes().replace(b"0.25", b"0.75"))
    assert "policy.json" in tell(client, "policies", 400, folder="second")["detail"]
    assert client.post("/v1/policies", json={"folder": "third", **WHY}).status_code == 200


def test_servers_of_one_store_follow_each_other(
    postgres: PostgresServer, folder: Path, made: tuple[Path, dict[str, Bundle]]
) -> None:
    url, bundles = postgres.fresh_url(), made[1]
    with closing(Store(url)) as mine, closing(Store(url)) as theirs, closing(Store(url)) as third:
        one, other = (served(folder, bundles["first"], s, Clock()) for s in (mine, theirs))
        alone = Service(bundles["first"], third, one.settings)
        new = one.policies.load("second", "a test", "why")
        one.policies.change("promote", new, changes.promoted(new), "a test", "why")
        other.policies.follow()
        assert roles_of(other) == roles_of(one)
        assert other.policies.since(new) == one.policies.since(new)
        one.policies.change("switch", None, changes.switched("rules"), "a test", "why")
        other.policies.change("switch", None, changes.switched("pause"), "a test", "why")
        (_, *_, rules, pause) = other.policies.changes
        assert pause.before == rules.after  # it took up the first change before its own
        for service in (one, alone):
            service.policies.follow()
        assert one.policies.lineup.roles == other.policies.lineup.roles
        assert roles_of(alone) == {"champion": bundles["first"].policy_id, "switch": "pause"}
        third_id = other.policies.load("third", "a test", "why")
        other.policies.change("canary", third_id, changes.canary(third_id, 0.5), "a test", "why")
        other.policies.change("switch", None, changes.switched("learned"), "a test", "why")
        shutil.rmtree(folder / "third")
        with pytest.raises(StoreUnavailable, match=f"policy {third_id} has a role"):
            one.policies.follow()
        assert roles_of(one)["switch"] == "learned"
