"""Who asks may say all that is known of a contact with the ask: it is put, then decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from nurture_envs.clock import HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.api_keys import load_keys
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Contact, Withdrawal
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import ATTRIBUTES, MIDNIGHT, ZONE, Clock, service
from tests.unit.serving.lives import Client, decision

CONTEXT: dict[str, Any] = {"time_zone": ZONE, "consent": True, "attributes": ATTRIBUTES}
SENDER, BOTH = "s" * 40, "b" * 40


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


@pytest.fixture
def served(bundle: Bundle, tmp_path: Path) -> Iterator[Service]:
    found = service(bundle, tmp_path / "s.db", Clock(MIDNIGHT + HOUR_US))
    yield found
    found.store.close()


@pytest.fixture
def client(served: Service) -> Iterator[Client]:
    with TestClient(create_app(served)) as found:
        yield found


def ask(client: Client, *asks: dict[str, Any], **headers: str) -> Any:
    return client.post("/v1/decisions", json={"contacts": list(asks)}, headers=headers)


def test_a_stranger_with_a_context_is_decided_for_as_one_who_was_put(
    served: Service, client: Client
) -> None:
    told = decision(client, "zoe", request_id="same luck", context=CONTEXT)
    assert told["kind"] == "decision"
    stored = served.store.contacts(["zoe"])["zoe"]
    assert (stored.time_zone, stored.consent, stored.attributes) == (ZONE, True, ATTRIBUTES)
    with_context = served.store.decisions(["same luck"])["same luck"]
    put = served.store.decisions([decision(client, "ada")["decision_id"]])
    (of_ada,) = put.values()  # ada was put with the same
    assert (with_context.features, with_context.probabilities, with_context.mask) == (
        *(of_ada.features, of_ada.probabilities, of_ada.mask),
    )


def test_the_context_is_what_the_decision_reads(served: Service, client: Client) -> None:
    large = {**CONTEXT, "attributes": {**ATTRIBUTES, "company_size": 400}}
    made = decision(client, "ada", request_id="r", context=large)
    column = served.bundle.feature_spec.column("company_size")
    features = served.store.decisions(["r"])["r"].features
    assert made["kind"] == "decision"
    assert features is not None
    assert features[column] == 400.0


def test_a_context_without_consent_forbids_mail_and_takes_back_what_was_planned(
    client: Client, served: Service
) -> None:
    for i in range(20):  # until one of them is a send
        name = f"p{i}"
        if decision(client, name, request_id=name, context=CONTEXT)["scheduled_at"]:
            break
    else:
        raise AssertionError("no send was drawn")
    answer = ask(client, {"contact_id": name, "context": {**CONTEXT, "consent": False}}).json()
    assert [one["decision_id"] for one in answer["withdrawn"]] == [name]
    assert answer["decisions"][0]["code"] == "already_decided"
    ledger = client.get(f"/v1/contacts/{name}/preferences").json()["ledger"]
    assert [line["word"] for line in ledger] == ["given", "withdrawn"]
    assert "withdrawn" not in ask(client, {"contact_id": "ada"}).json()


def test_a_context_takes_no_opt_out_back(client: Client, served: Service) -> None:
    no = {"event_id": "e", "contact_id": "ada", "type": "unsubscribe"}
    body = {"events": [{**no, "occurred_at": "2027-02-28T12:00:00Z"}]}
    assert client.post("/v1/events", json=body).status_code == 200
    told = decision(client, "ada", context={**CONTEXT, "attributes": {}})
    assert told["kind"] == "error" or not told["scheduled_at"]
    assert told.get("code") == "episode_over" or "send:welcome@09" in told["blocked"]


def test_what_is_known_already_is_not_put_again(
    client: Client, served: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts: list[list[str]] = []
    put = served.put_contacts

    def noted(contacts: Sequence[Contact]) -> list[Withdrawal]:
        puts.append([one.contact_id for one in contacts])
        return put(contacts)

    monkeypatch.setattr(served, "put_contacts", noted)
    rows = [{"contact_id": name, "context": CONTEXT} for name in ("ADA", "bob", "new")]
    assert ask(client, *rows).status_code == 200
    assert puts == [["new"]]
    assert ask(client, {"contact_id": "ada", "context": {"consent": True}}).status_code == 200
    assert puts == [["new"], ["ada"]]  # what it leaves out is not known any more
    assert served.store.contacts(["ada"])["ada"].time_zone is None


def test_a_context_that_cannot_be_meant_puts_and_decides_nothing(
    client: Client, served: Service
) -> None:
    for context, place in (
        ({"consent": "yes"}, "$.contacts[1].context.consent"),
        ({"time_zone": "Europe/Berln"}, "$.contacts[1].context.time_zone"),
        ({"contact_id": "eve"}, "$.contacts[1].context"),
    ):
        rows = [
            {"contact_id": "new", "context": CONTEXT},
            {"contact_id": "bob", "context": context},
        ]
        answer = ask(client, *rows)
        assert answer.status_code == 400
        assert place in answer.json()["detail"]
    twice = [{"contact_id": name, "context": {"consent": name == "new"}} for name in ("new", "NEW")]
    assert "expected one context of contact 'NEW'" in ask(client, *twice).json()["detail"]
    assert served.store.contacts(["new"]) == {}
    assert decision(client, "bob")["kind"] == "decision"


def test_a_key_that_puts_no_contacts_brings_no_context(served: Service, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"decisions {SENDER}\ncontacts,decisions {BOTH}\n", "utf-8")
    path.chmod(0o600)
    with TestClient(create_app(served, keys=load_keys(path))) as client:
        row = {"contact_id": "zoe", "context": CONTEXT}
        answer = ask(client, row, authorization=f"Bearer {SENDER}")
        assert answer.status_code == 403
        assert "expected a key of the scope contacts too" in answer.json()["detail"]
        assert served.store.contacts(["zoe"]) == {}
        plain = ask(client, {"contact_id": "ada"}, authorization=f"Bearer {SENDER}")
        assert plain.status_code == 200
        assert ask(client, row, authorization=f"Bearer {BOTH}").status_code == 200


def test_no_spelling_of_the_key_gets_around_that(served: Service, tmp_path: Path) -> None:
    body = b'{"contacts": [{"contact_id": "zoe", "\\u0063ontext": {"consent": true}}]}'
    path = tmp_path / "keys"
    path.write_text(f"decisions {SENDER}\n", "utf-8")
    path.chmod(0o600)
    with TestClient(create_app(served, keys=load_keys(path))) as client:
        answer = client.post(
            "/v1/decisions", content=body, headers={"authorization": f"Bearer {SENDER}"}
        )
    assert answer.status_code == 400
    assert "expected `context` written so" in answer.json()["detail"]
    assert served.store.contacts(["zoe"]) == {}


def test_a_long_request_brings_contexts_too(client: Client, served: Service) -> None:
    rows = [{"contact_id": f"n{i}", "context": CONTEXT} for i in range(2_000)]
    found = ask(client, *rows).json()["decisions"]
    assert [row["contact_id"] for row in found] == [row["contact_id"] for row in rows]
    assert {row["kind"] for row in found} == {"decision"}
    assert served.store.contacts(["n1999"])["n1999"].consent
