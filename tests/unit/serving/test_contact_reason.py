"""What a contact may be told of a decision, and what it must never be told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Spec
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.http.contact_reason import ContactReason, contact_reason
from nurture_rl.serving.http.explaining import explained, recorded
from nurture_rl.serving.upkeep.erasing import erase_contacts
from tests.unit.serving.contacts import ZONE
from tests.unit.serving.test_no_mail_after_no import Server

BY_LAW = "You may say no to our mails at any moment, or choose what you get."


@pytest.fixture
def server(bundle: Bundle, tmp_path: Path) -> Server:
    """Seven in the morning; it sends the first message whenever it may."""
    return Server(bundle, tmp_path / "store.db")


def why(server: Server, name: str = "r-1") -> Any:
    return server.client.get(f"/v1/decisions/{name}/why")


def page(server: Server, contact: str = "ada", name: str = "r-1") -> Any:
    return server.client.get(f"/u/{server.service.links.token(contact)}/why/{name}")


def test_a_mail_is_told_by_its_topic_and_by_what_the_program_looks_at(server: Server) -> None:
    assert server.sends("ada", "r-1")
    told = why(server).json()
    topic = server.service.bundle.catalog.messages[0].topic
    assert told["sent"] is True
    assert (
        told["text"][0]
        == f"A mail about {topic} is to be sent to you. It was decided on 2027-03-01."
    )
    assert told["text"][1] == (
        "A computer chose it by a program that people wrote; no person looked at it."
    )
    assert told["text"][2].startswith("It may look at: the date and the time since you came in, ")
    assert "the pages that you visited" in told["text"][2]
    assert told["text"][2].endswith("It looks at nobody but you.")
    assert told["text"][-1] == BY_LAW


def test_neither_scores_nor_ids_nor_words_of_the_log_are_told(server: Server) -> None:
    server.put(contact_id="ada", attributes={"industry": "finance", "note": "friend of Peter"})
    server.say("reply", reply_class="question", properties={"text": "ask Peter Smith"})
    server.ask("ada", "r-1")
    for text in (why(server).text, page(server).text):
        for secret in ("Peter", "finance", "ada", "propensity", "policy_id", "0."):
            assert secret not in text.replace(server.service.links.token("ada"), ""), secret
    spoken = " ".join(why(server).json()["text"])
    assert re.findall(r"\d+", spoken) == ["2027", "03", "01"]
    assert set(why(server).json()) == {"decision_id", "decided_on", "sent", "text", "link"}


def test_a_link_tells_of_its_own_contact_alone(server: Server) -> None:
    assert server.sends("ada", "r-1")
    assert page(server).status_code == 200
    assert "is to be sent to you" in page(server).text
    strange = [page(server, "bob"), page(server, name="r-2")]
    strange.append(server.client.get("/u/nobody.gave/why/r-1"))
    assert {(answer.status_code, answer.text) for answer in strange} == {(404, strange[0].text)}
    assert "This link is not one of ours" in strange[0].text
    assert why(server, "r-2").status_code == 404


def test_looking_changes_nothing(server: Server) -> None:
    assert server.sends("ada", "r-1")
    before = [list(server.service.store.scan(name)) for name in ("decisions", "events")]
    for _ in range(3):
        assert page(server).status_code == why(server).status_code == 200
    assert [list(server.service.store.scan(name)) for name in ("decisions", "events")] == before
    assert server.client.post(f"/u/{server.service.links.token('ada')}/why/r-1").status_code == 405


def test_the_page_leads_back_to_where_one_says_no(server: Server) -> None:
    assert server.sends("ada", "r-1")
    token = server.service.links.token("ada")
    assert f'<a href="../../{token}">' in page(server).text
    assert "default-src 'none'" in page(server).headers["content-security-policy"]
    assert server.client.get(f"/u/{token}").status_code == 200


def test_of_an_erased_contact_nothing_is_told(bundle: Bundle, tmp_path: Path) -> None:
    server = Server(bundle, tmp_path / "store.db")
    assert server.sends("ada", "r-1")
    server.service.store.close()
    erase_contacts(str(tmp_path / "store.db"), ["ada"], "asked for")
    again = Server(bundle, tmp_path / "store.db")
    assert (why(again).status_code, page(again).status_code) == (404, 404)


def test_a_mail_that_was_taken_back_and_no_mail_at_all_are_said_to_be(server: Server) -> None:
    assert server.sends("ada", "r-1")
    server.say("snoozed", value=3)
    told = why(server).json()
    assert told["sent"] is False
    assert "taken back before it left" in told["text"][0]
    server.clock.now_us += DAY_US
    assert not server.sends("ada", "r-2")
    assert why(server, "r-2").json()["text"][0].startswith("No mail was sent to you.")


def reason_of(server: Server, policy: Spec | None = None, **changes: Any) -> ContactReason:
    """The reason of r-1, as if another policy had decided."""
    served = server.service
    found = recorded(served.store, "r-1", ZONE, served.seed)
    assert found is not None
    bundles = served.journeys.bundles()
    if policy is not None:
        bundle = bundles[0]
        context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
        bundles = [replace(bundle, policy=build_policy(policy, context))]
    decision = replace(found.decision, **changes)
    one = explained(replace(found, decision=decision), bundles, served.catalogs)
    return contact_reason(one, bundles)


def test_what_was_learned_and_what_counted_most_are_told_without_numbers(server: Server) -> None:
    server.put(contact_id="ada", attributes={"company_size": 9.0})
    assert server.sends("ada", "r-1")
    bundle = server.service.bundle
    d, a = len(bundle.feature_spec.columns), len(bundle.catalog)
    weights = np.zeros((d + 1, a))
    weights[bundle.feature_spec.column("company_size"), 0] = 0.1
    softmax: Spec = {
        "kind": "softmax",
        "mean": [0.0] * d,
        "scale": [1.0] * d,
        "weights": weights.tolist(),
        "crowding": 0.0,
    }
    told = reason_of(server, softmax, propensity=0.5)
    assert told.text[1].startswith(
        "A computer chose it, by what it learned from how people answered"
    )
    assert told.text[3] == "What counted most: what we know of your company size."
    assert told.text[4] == "Part of the choice was by lot, so that we learn which mails help."


def test_who_chose_is_told_for_every_layer(server: Server) -> None:
    assert server.sends("ada", "r-1")
    rules = server.service.bundle.manifest.rules_id
    assert "by rules that people wrote" in reason_of(server, policy_id=rules).text[1]
    assert reason_of(server, policy_id="paused").text[1] == "Mails were stopped at that moment."
    unknown = reason_of(server, policy_id="0123456789abcdef").text
    assert unknown[1] == "A computer chose it; no person looked at it."
    assert unknown[-1] == BY_LAW
    assert len(unknown) == 3


def test_the_answer_names_the_link_where_the_server_has_an_address(
    bundle: Bundle, tmp_path: Path
) -> None:
    server = Server(bundle, tmp_path / "store.db")
    assert server.sends("ada", "r-1")
    assert why(server).json()["link"] is None
    linked = replace(server.service.links, public_url="https://mail.example.com")
    token = linked.token("ada")
    assert linked.why("ada", "r 1/2") == f"https://mail.example.com/u/{token}/why/r%201%2F2"
