"""Mail through a real Postfix: nothing twice, nothing lost, and one click that stops it."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.delivery.deliver_options import ReconcileOptions
from nurture_rl.delivery.delivering import deliver
from nurture_rl.delivery.mail_traces import traces
from nurture_rl.delivery.reconciling import reconcile
from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings, machine_clock
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.storage.store import Store
from tests.mail_server import DOMAIN, NOBODY, Postfix, needs_postfix, postfix
from tests.pipeline.killed_deliveries import Victim, deliver_with_kills, looked_at, reconciled
from tests.pipeline.running_server import RunningServer, running
from tests.unit.delivery.now_sends import (
    PUBLIC,
    decide,
    deliver_options,
    now_bundle,
    write_ids,
    write_recipients,
    write_templates,
)

pytestmark = needs_postfix
VICTIMS: list[Victim] = ["deliverer", "mail server", "deliverer", "mail server", "deliverer"]


@pytest.fixture
def post() -> Iterator[Postfix]:
    with postfix() as found:
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    now_bundle(tmp_path / "bundle")
    write_templates(tmp_path / "templates")
    with running(tmp_path / "bundle", tmp_path / "store.db", PUBLIC) as found:
        yield found


def planned(folder: Path, server: RunningServer, names: list[str]) -> list[str]:
    write_recipients(folder / "recipients.csv", names, DOMAIN)
    ids = decide(server, names)
    write_ids(folder / "ids.csv", ids)
    return ids


@pytest.mark.slow
def test_kills_send_no_mail_twice_and_lose_none(
    tmp_path: Path, post: Postfix, server: RunningServer
) -> None:
    ids = planned(tmp_path, server, [f"lead{i}" for i in range(60)])
    patient = {"smtp_port": post.port, "wait_minutes": 5, "retry_seconds": 0.2}
    options = deliver_options(tmp_path, server, **patient)
    deliver_with_kills(options, post, VICTIMS, random.Random(7))
    found = looked_at(options, post)
    assert (found.lost, found.doubled, found.wrong) == ([], [], [])
    assert found.states.get("unknown", 0) <= len(VICTIMS)
    assert sum(found.states.values()) == len(ids)
    reconciled(options, post)
    after = looked_at(options, post)
    assert (after.lost, after.doubled, after.wrong) == ([], [], [])
    assert after.states == {"accepted": len(ids)}
    assert len({mail["Message-ID"] for mail in post.mails()}) == len(ids)
    assert {server.send("GET", f"/v1/decisions/{name}")["status"] for name in ids} == {"sent"}


def test_one_click_in_a_delivered_mail_stops_the_next_decision(
    tmp_path: Path, post: Postfix, server: RunningServer
) -> None:
    planned(tmp_path, server, ["ada", "bob"])
    assert deliver(deliver_options(tmp_path, server, smtp_port=post.port)).code == 0
    post.settle()
    mails = {mail["To"].partition("@")[0]: mail for mail in post.mails()}
    assert set(mails) == {"ada", "bob"}
    link = mails["ada"]["List-Unsubscribe"].strip("<>")
    asked = urllib.request.Request(
        link.replace("https://policy.example", server.url),  # where the proxy would lead
        mails["ada"]["List-Unsubscribe-Post"].encode(),
        {"content-type": "application/x-www-form-urlencoded"},
        method="POST",
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        assert answer.status == 200
    server.kill()
    tomorrow = machine_clock() + DAY_US
    with closing(Store(tmp_path / "store.db")) as store:
        bundle = load_bundle(tmp_path / "bundle")
        later = Service(bundle, store, ServerSettings("Europe/Berlin", False, lambda: tomorrow))
        told = {one.contact_id: one for one in later.decide([Ask("ada", "x"), Ask("bob", "y")])}
    sends = {
        name: str(getattr(one, "action", "")).startswith("send:") for name, one in told.items()
    }
    assert sends == {"ada": False, "bob": True}


def test_postfix_refuses_a_dead_address_and_its_log_tells_what_it_took(
    tmp_path: Path, post: Postfix, server: RunningServer
) -> None:
    good, dead = planned(tmp_path, server, ["ada", f"{NOBODY}1"])
    result = deliver(deliver_options(tmp_path, server, smtp_port=post.port))
    assert result.made["states"] == {"accepted": 1, "refused": 1}
    post.settle()
    told: Any = server.send("GET", f"/v1/decisions/{dead}/explain")["events"]
    assert [one["type"] for one in told] == ["hard_bounce"]
    (mail,) = post.mails()
    taken = {mail["Message-ID"].strip("<>")}
    assert traces([post.log]).taken == taken == traces([post.maildir]).taken
    where = ReconcileOptions((str(post.log),), str(tmp_path / "deliveries.db"), server.url)
    assert reconcile(where).code == 0
    assert server.send("GET", f"/v1/decisions/{good}")["status"] == "sent"
