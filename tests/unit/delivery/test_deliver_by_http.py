"""Mail by providers over HTTP: each answer means one thing, and no mail goes twice."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.delivery.deliver_options import DeliverOptions, ReconcileOptions
from nurture_rl.delivery.delivering import deliver
from nurture_rl.delivery.delivery_ledger import DeliveryLedger
from nurture_rl.delivery.reconciling import reconcile
from nurture_rl.errors import DeliveryError
from tests.pipeline.running_server import RunningServer
from tests.unit.delivery.now_sends import decide, deliver_options, write_ids
from tests.unit.delivery.provider_stand_ins import (
    DROP_AFTER,
    DROP_BEFORE,
    SLOW,
    StandIn,
    settings,
    stand_in,
)
from tests.unit.delivery.test_deliver_by_smtp import events, planned, rows, status, unsubscribe

NAMES = ["listmonk", "mautic", "dittofeed", "braze", "cloudevents_http"]
REPEATABLE = ["dittofeed", "cloudevents_http"]
OTHERS = [name for name in NAMES if name not in REPEATABLE]


def by(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("provider", names, indirect=True)


def ready(
    folder: Path, server: RunningServer, provider: StandIn, *names: str, **changes: Any
) -> tuple[list[str], DeliverOptions]:
    """Decisions to send, and settings by which they go to the stand-in."""
    ids = planned(folder, server, *names)
    for number, name in enumerate(names, 1):
        provider.contacts[f"{name}.{folder.name}@example.com".lower()] = [number]
    told = {**settings(folder, provider), **changes}
    return ids, deliver_options(folder, server, **told)


@by(*NAMES)
def test_each_decision_reaches_the_provider_once(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    ids, options = ready(folder, server, provider, "ada", "bob")
    assert deliver(options).code == 0
    assert deliver(options).made["states"] == {"accepted": 2}
    assert (len(provider.taken), provider.asked) == (2, 2)
    handed = provider.name == "cloudevents_http"  # whoever takes an event sends, and reports
    assert {status(server, name) for name in ids} == {"confirmed" if handed else "sent"}


@by("listmonk")
def test_listmonk_gets_template_text_and_the_way_to_leave(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    (name,), options = ready(folder, server, provider, "ada")
    deliver(options)
    (body,) = provider.taken
    assert body["subscriber_email"] == f"ada.{folder.name}@example.com".lower()
    assert (body["template_id"], body["content_type"]) == (3, "html")
    assert body["subject"] == f"A tour, {body['data']['fields']['first_name']}"
    assert "Köln" in body["altbody"]
    assert "<p>Köln</p>" in body["data"]["html"]
    headers = {key: value for one in body["headers"] for key, value in one.items()}
    assert headers["List-Unsubscribe"] == f"<{body['data']['unsubscribe_url']}>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["X-Nurture-Delivery"] == rows(folder)[0]["place"]
    assert body["data"]["decision_id"] == name


@by("listmonk", "mautic", "dittofeed", "braze")
def test_a_contact_may_have_an_id_of_the_providers_own(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    _, options = ready(folder, server, provider, "ada")
    table = folder / "recipients.csv"
    head, row, *_ = table.read_text("utf-8").splitlines()
    table.write_text(f"{head},sender_id\n{row},41\n", "utf-8")
    provider.contacts = {"somebody": [41]}
    assert deliver(options).made["states"] == {"accepted": 1}
    (body,) = provider.taken
    whole = json.dumps(body)
    assert provider.name == "mautic" or '"41"' in whole or '"subscriber_id": 41' in whole


@by("mautic")
@pytest.mark.parametrize("found", [[], [1, 2]])
def test_mautic_mails_nobody_where_an_address_is_not_one_contact(
    folder: Path, server: RunningServer, provider: StandIn, found: list[int]
) -> None:
    _, options = ready(folder, server, provider, "ada")
    provider.contacts = {f"ada.{folder.name}@example.com".lower(): found}
    assert deliver(options).made["states"] == {"refused": 1}
    assert f"got {len(found)}" in rows(folder)[0]["reason"]
    assert provider.asked == 0


@by("mautic")
def test_what_mautic_says_it_failed_to_send_was_not_sent(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    _, options = ready(folder, server, provider, "ada")
    provider.refuses = lambda body: (200, {"success": 1, "failed": "ada@example.com: do not mail"})
    assert deliver(options).made["states"] == {"refused": 1}
    assert rows(folder)[0]["reason"] == "200 <address> do not mail"


@by(*OTHERS)
@pytest.mark.parametrize(
    "fault", [DROP_BEFORE, DROP_AFTER, (500, {"message": "no"}), (200, {"a": "proxy"}), SLOW]
)
def test_a_request_without_an_answer_is_unknown_and_never_goes_again(
    folder: Path, server: RunningServer, provider: StandIn, fault: Any
) -> None:
    (first, second), options = ready(folder, server, provider, "ada", "bob", sender_timeout=0.5)
    provider.faults = [fault]
    assert deliver(options).made["states"] == {"accepted": 1, "unknown": 1}
    assert deliver(options).code == 4
    assert provider.asked == 2
    assert [status(server, name) for name in (first, second)] == ["confirmed", "sent"]


@by(*REPEATABLE)
@pytest.mark.parametrize("fault", [DROP_BEFORE, DROP_AFTER, (503, {"message": "no"}), SLOW])
def test_it_goes_again_under_the_same_key_where_that_counts_once(
    folder: Path, server: RunningServer, provider: StandIn, fault: Any
) -> None:
    told = {"wait_minutes": 1.0, "sender_timeout": 0.5}
    ids, options = ready(folder, server, provider, "ada", "bob", **told)
    provider.faults = [fault, fault]
    assert deliver(options).made["states"] == {"accepted": 2}
    assert provider.asked == 4
    assert provider.decisions() == Counter(ids)


@by("dittofeed")
def test_a_run_that_was_killed_goes_on_under_the_same_key(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    ids, options = ready(folder, server, provider, "ada")
    provider.faults = [DROP_AFTER]
    assert deliver(options).made["states"] == {"unknown": 1}
    with closing(DeliveryLedger(folder / "deliveries.db")) as ledger:
        ledger.attempt(ids, rows(folder)[0]["place"], 1, True)  # and then the power went
    assert deliver(options).made["states"] == {"accepted": 1}
    assert (len(provider.keys), provider.decisions()) == (2, Counter(ids))


@by("dittofeed")
def test_a_mail_that_may_have_gone_stays_unknown_once_its_contact_left(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    _, options = ready(folder, server, provider, "ada")
    provider.faults = [DROP_BEFORE]
    deliver(options)
    unsubscribe(server, f"ada.{folder.name}")
    assert deliver(options).made["states"] == {"unknown": 1}
    assert provider.asked == 1


def test_another_receiver_does_not_get_what_the_first_may_have(
    folder: Path, server: RunningServer
) -> None:
    with stand_in("dittofeed") as first, stand_in("cloudevents_http") as second:
        _, options = ready(folder, server, first, "ada")
        first.faults = [DROP_BEFORE]
        deliver(options)
        other = deliver_options(folder, server, **settings(folder, second))
        assert deliver(other).made["states"] == {"unknown": 1}
        assert second.asked == 0


@by(*NAMES)
def test_a_provider_at_its_limit_is_waited_for(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    _, options = ready(folder, server, provider, "ada", "bob", retry_seconds=30.0)
    provider.retry_after, provider.faults = "1", [(429, {"message": "slow down"})]
    assert deliver(options).made["states"] == {"accepted": 2}
    assert provider.asked == 3
    provider.asked = 0


@by("braze")
def test_a_limit_beyond_the_runs_patience_leaves_the_rest_planned(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    _, options = ready(folder, server, provider, "ada", "bob")
    provider.retry_after, provider.faults = "3600", [(429, {"message": "slow down"})]
    result = deliver(options)
    assert (result.code, result.made["states"]) == (3, {"planned": 2})
    assert provider.asked == 1


@by(*NAMES)
@pytest.mark.parametrize("said", [401, 403, 302])
def test_a_provider_that_refuses_the_key_ends_the_run(
    folder: Path, server: RunningServer, provider: StandIn, said: int
) -> None:
    _, options = ready(folder, server, provider, "ada", "bob")
    provider.faults = [(said, {"message": "who are you?"})]
    with pytest.raises(DeliveryError, match=r"nothing more was sent: mend the settings"):
        deliver(options)
    assert {row["state"] for row in rows(folder)} == {"planned"}
    assert provider.asked == 1


@by(*NAMES)
def test_a_refusal_for_good_is_one_and_names_its_reason(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    (name,), options = ready(folder, server, provider, "ada")
    provider.refuses = lambda body: (400, {"message": "no template for ada@example.com"})
    assert deliver(options).made["states"] == {"refused": 1}
    assert rows(folder)[0]["reason"] == "400 no template for <address>"
    assert events(server, folder, name) == ["soft_bounce"]


@by("listmonk", "dittofeed")
def test_who_refuses_everybody_stops_the_run_and_nobody_counts_as_refused(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    names = [f"lead{number}" for number in range(6)]
    ids, options = ready(folder, server, provider, *names, brake_after=4)
    provider.refuses = lambda body: (400, {"message": "template not found"})
    with pytest.raises(DeliveryError, match=r"last 4 mails were refused.*template not found.*4 of"):
        deliver(options)
    assert provider.asked == 4
    assert {row["state"] for row in rows(folder)} == {"planned"}
    assert [events(server, folder, name) for name in ids] == [[]] * 6
    provider.refuses = lambda body: None
    assert deliver(options).made["states"] == {"accepted": 6}


@by("listmonk")
def test_a_provider_without_answers_is_left_after_a_few_mails(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    names = [f"lead{number}" for number in range(5)]
    _, options = ready(folder, server, provider, *names, brake_after=2)
    provider.faults = [(500, {"message": "no"})] * 9
    with pytest.raises(DeliveryError, match=r"last 2 mails were refused or had no answer"):
        deliver(options)
    assert Counter(row["state"] for row in rows(folder)) == {"planned": 3, "unknown": 2}


@by("listmonk")
def test_small_runs_count_together_for_the_brake(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    names = [f"lead{number}" for number in range(4)]
    ids, options = ready(folder, server, provider, *names, brake_after=3)
    provider.refuses = lambda body: (400, {"message": "no"})
    write_ids(folder / "ids.csv", ids[:2])
    assert deliver(options).made["states"] == {"refused": 2}
    write_ids(folder / "ids.csv", ids[2:])
    with pytest.raises(DeliveryError, match="last 3 mails"):
        deliver(options)
    provider.refuses = lambda body: None
    assert deliver(options).made["states"] == {"accepted": 2, "refused": 2}


@by(*NAMES)
def test_a_dry_run_shows_the_requests_and_sends_none(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    out = folder / "requests.jsonl"
    ids, options = ready(folder, server, provider, "ada", dry_run=True, out=str(out))
    assert deliver(options).made["mails"] == 1
    (line,) = out.read_text("utf-8").splitlines()
    shown = json.loads(line)
    assert shown["url"].startswith(provider.url)
    assert "authorization" not in {name.lower() for name in shown["headers"]}
    assert "secret" not in line
    assert ids[0] in line or provider.name == "mautic"
    assert (provider.asked, (folder / "deliveries.db").exists()) == (0, False)


@by("listmonk", "mautic")
def test_an_export_or_an_archive_settles_what_had_no_answer(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    ids, options = ready(folder, server, provider, "ada", "bob")
    provider.faults = [DROP_AFTER, DROP_AFTER]
    assert deliver(options).made["states"] == {"unknown": 2}
    first, second = (row["place"] for row in rows(folder))
    export, box = folder / "email_stats.json", folder / "archive.mbox"
    export.write_text(json.dumps({"stats": [{"tokens": f'a:1:{{s:5:"{first}";}}'}]}))
    box.write_text(f"From a Mon\nX-Nurture-Delivery: {second}\n\nbody\n")
    found = (str(export), str(box))
    told = ReconcileOptions(found, str(folder / "deliveries.db"), server.url)
    assert reconcile(told).made["states"] == {"accepted": 2}
    assert {status(server, name) for name in ids} == {"sent"}


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_an_event_says_the_same_in_both_modes(
    folder: Path, server: RunningServer, mode: str
) -> None:
    with stand_in("cloudevents_http") as provider:
        (name,) = decide(server, [f"ada é%.{folder.name}"])
        write_ids(folder / "ids.csv", [name])
        table = "contact_id,email,first_name,city\nada é%.{0},ada@example.com,Ada,Köln\n"
        (folder / "recipients.csv").write_text(table.format(folder.name), "utf-8")
        told = {**settings(folder, provider), "cloudevents_mode": mode}
        assert deliver(deliver_options(folder, server, **told)).code == 0
        (event,) = provider.taken
    assert (event["id"], event["source"]) == (name, "urn:nurture:journey:inbound_lead")
    assert event["subject"] == event["data"]["contact_id"] == f"ada é%.{folder.name}"
