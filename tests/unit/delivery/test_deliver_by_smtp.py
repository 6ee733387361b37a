"""Mail by SMTP: each answer of the server means one thing, and no mail goes twice."""

from __future__ import annotations

import sqlite3
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from nurture_rl.client import PolicyClient
from nurture_rl.delivery.deliver_options import ReconcileOptions
from nurture_rl.delivery.delivering import deliver
from nurture_rl.delivery.delivery_ledger import DeliveryLedger
from nurture_rl.delivery.reconciling import reconcile
from nurture_rl.errors import ConfigError, DeliveryError
from tests.pipeline.running_server import RunningServer
from tests.unit.delivery.now_sends import (
    decide,
    deliver_options,
    write_ids,
    write_recipients,
    write_table,
)
from tests.unit.delivery.scripted_smtp import CUT, Scripted, scripted


@pytest.fixture
def mail() -> Iterator[Scripted]:
    with scripted() as found:
        yield found


def planned(folder: Path, server: RunningServer, *names: str) -> list[str]:
    """Decisions to send for contacts of this test alone."""
    own = [f"{name}.{folder.name}" for name in names]
    write_recipients(folder / "recipients.csv", own)
    ids = decide(server, own)
    write_ids(folder / "ids.csv", ids)
    return ids


def rows(folder: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / "deliveries.db")) as file:
        file.row_factory = sqlite3.Row
        return [dict(row) for row in file.execute("SELECT * FROM deliveries ORDER BY rowid")]


def status(server: RunningServer, decision_id: str) -> str:
    return str(server.send("GET", f"/v1/decisions/{decision_id}")["status"])


def test_a_mail_says_who_why_and_how_to_leave(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    (name,) = planned(folder, server, "ada")
    result = deliver(deliver_options(folder, server, smtp_port=mail.port))
    assert (result.code, result.made["states"]) == (0, {"accepted": 1})
    ((address, got),) = mail.taken
    assert address == got["To"] == f"ada.{folder.name}@example.com".lower()
    assert got["From"] == "Ada Löwe <news@sender.example>"
    assert got["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = got["List-Unsubscribe"].strip("<>")
    assert link.startswith("https://policy.example/u/")
    text = got.get_body(("plain",))
    page = got.get_body(("html",))
    assert text is not None
    assert page is not None
    lines = text.get_content().splitlines()
    assert lines[1:] == ["this is the tour on product.", ".", "Grüße from Köln.", f"Leave: {link}"]
    assert f'<a href="{link}">' in page.get_content()
    assert "[[" not in text.get_content() + page.get_content()
    assert status(server, name) == "sent"
    (row,) = rows(folder)
    assert (row["contact_id"], row["event"]) == (None, None)  # it is told, and forgotten


def test_a_decision_is_sent_once_however_often_it_is_asked_for(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    planned(folder, server, "ada", "bob", "cy")
    for _ in range(2):
        deliver(deliver_options(folder, server, smtp_port=mail.port))
    assert len(mail.taken) == 3
    assert len(mail.sessions) == 1  # one connection for all of them


def test_what_was_withdrawn_does_not_go(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    planned(folder, server, "ada", "bob")
    options = deliver_options(folder, server, smtp_port=mail.port)
    unsubscribe(server, f"ada.{folder.name}")
    result = deliver(options)
    assert result.made["states"] == {"accepted": 1, "withdrawn": 1}
    assert [to for to, _ in mail.taken] == [f"bob.{folder.name}@example.com".lower()]


def unsubscribe(server: RunningServer, contact: str) -> None:
    said = {"event_id": f"no-{contact}", "contact_id": contact, "type": "unsubscribe"}
    said["occurred_at"] = datetime.now(UTC).isoformat()
    server.send("POST", "/v1/events", {"events": [said]})


@pytest.mark.parametrize("sender", ["smtp", "file"])
@pytest.mark.parametrize("column", ["contact_id", "message"])
def test_a_row_that_is_not_as_it_was_decided_sends_nothing(
    folder: Path, server: RunningServer, mail: Scripted, column: str, sender: str
) -> None:
    """A column was sorted by itself: what was confirmed for one contact would go to another."""
    ids = planned(folder, server, "ada", "bob")
    path = write_table(folder / "decided.parquet", server, *ids)
    table = pq.read_table(path)
    # With the links, which would tell of it before.
    for name in ("contact_id", "list_unsubscribe") if column == "contact_id" else ("message",):
        cells = table[name].to_pylist()[::-1] if column == "contact_id" else ["book_a_call"] * 2
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array([*cells]))
    pq.write_table(table, path)
    for kind in ("txt", "html"):
        text = (folder / f"templates/welcome.{kind}").read_text("utf-8")
        text = text.replace("block intro", "block quote").replace("block tour", "block calendar")
        (folder / f"templates/book_a_call.{kind}").write_text(text, "utf-8")
    told = {"decided": str(path), "sender": sender, "smtp_port": mail.port}
    told |= {"out": str(folder / "out.csv")} if sender == "file" else {}
    with pytest.raises(DeliveryError, match=f"decision {ids[0]}: expected a row of contact"):
        deliver(deliver_options(folder, server, **told))
    assert (mail.taken, (folder / "out.csv").exists()) == ([], False)
    assert {row["state"] for row in rows(folder)} == {"planned"}
    write_table(path, server, *ids)
    deliver(deliver_options(folder, server, decided=str(path), smtp_port=mail.port))
    assert [status(server, name) for name in ids] == ["sent", "sent"]
    assert [row["message"] for row in rows(folder)] == ["welcome", "welcome"]


def test_a_word_between_table_and_mail_is_recorded_as_the_reason(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    (name, other) = planned(folder, server, "ada", "bob")

    def rcpt(address: str) -> None:  # while the first mail is under way
        if address.startswith("ada"):
            unsubscribe(server, f"bob.{folder.name}")

    mail.rcpt = rcpt
    result = deliver(deliver_options(folder, server, smtp_port=mail.port))
    assert result.made["states"] == {"accepted": 1, "withdrawn": 1}
    states = {row["decision_id"]: (row["state"], row["reason"]) for row in rows(folder)}
    assert states[other] == ("withdrawn", "the episode ended (unsubscribed)")
    assert states[name] == ("accepted", None)
    assert len(mail.taken) == 1


def test_a_temporary_refusal_is_tried_again(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    (name,) = planned(folder, server, "ada")
    mail.data = ["451 4.7.1 greylisted", "451 4.7.1 greylisted"]
    options = deliver_options(folder, server, smtp_port=mail.port, wait_minutes=1)
    assert deliver(options).code == 0
    assert len(mail.taken) == 1
    assert status(server, name) == "sent"


def test_without_patience_the_rest_is_left_for_the_next_run(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    planned(folder, server, "ada")
    mail.data = ["451 4.3.0 later"]
    options = deliver_options(folder, server, smtp_port=mail.port, retry_seconds=0.5)
    left = deliver(options)
    assert (left.code, left.made["states"], left.made["left"]) == (3, {"planned": 1}, 1)
    assert rows(folder)[0]["reason"] == "451 4.3.0 later"
    assert deliver(deliver_options(folder, server, smtp_port=mail.port, wait_minutes=1)).code == 0
    assert len(mail.taken) == 1


def test_refusals_beyond_the_window_become_a_soft_bounce(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    (name,) = planned(folder, server, "ada")
    mail.data = ["451 4.3.0 later"] * 99
    told = {"wait_minutes": 1, "window_minutes": 1.0, "retry_seconds": 90.0}
    result = deliver(deliver_options(folder, server, smtp_port=mail.port, **told))
    assert result.made["states"] == {"refused": 1}
    assert mail.taken == []
    assert status(server, name) == "sent"  # a soft bounce proves that somebody tried
    assert events(server, folder, name) == ["soft_bounce"]


@pytest.mark.parametrize(
    ("said", "event"),
    [
        ("550 5.1.1 <x@y.example>: no such user", "hard_bounce"),
        ("550 no such user", "hard_bounce"),
        ("552 5.2.2 mailbox full", "soft_bounce"),
        ("554 5.7.1 <x@y.example>: relay access denied", "soft_bounce"),
    ],
)
def test_a_refusal_for_good_becomes_a_bounce(
    folder: Path, server: RunningServer, mail: Scripted, said: str, event: str
) -> None:
    (name,) = planned(folder, server, "ada")
    mail.rcpt = lambda address: said
    result = deliver(deliver_options(folder, server, smtp_port=mail.port))
    assert (result.code, result.made["states"]) == (0, {"refused": 1})
    assert events(server, folder, name) == [event]
    assert "@" not in rows(folder)[0]["reason"]  # no address is kept


def events(server: RunningServer, folder: Path, decision_id: str) -> list[str]:
    """Types of the events that name a decision, as the server tells them."""
    told = server.send("GET", f"/v1/decisions/{decision_id}/explain")
    return [one["type"] for one in told["events"]]


def test_a_line_that_breaks_after_the_mail_leaves_it_unknown_for_ever(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    first, second = planned(folder, server, "ada", "bob")
    mail.data = [CUT]
    options = deliver_options(folder, server, smtp_port=mail.port)
    result = deliver(options)
    assert (result.code, result.made["states"]) == (4, {"accepted": 1, "unknown": 1})
    assert deliver(options).code == 4
    assert [to.partition(".")[0] for to, _ in mail.taken] == ["ada", "bob"]
    assert status(server, first) == "confirmed"
    box = folder / "archive.mbox"
    box.write_text(f"From a Mon\nMessage-ID: <{mail.taken[0][1]['Message-ID'].strip('<>')}>\n\nx\n")
    told = ReconcileOptions((str(box),), str(folder / "deliveries.db"), server.url)
    assert reconcile(told).code == 0
    assert [status(server, name) for name in (first, second)] == ["sent", "sent"]


def test_what_never_arrived_goes_after_all_once_somebody_says_so(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    planned(folder, server, "ada")
    mail.data = [CUT]
    options = deliver_options(folder, server, smtp_port=mail.port)
    deliver(options)
    mail.taken.clear()  # the server lost it
    empty = folder / "maildir"
    (empty / "new").mkdir(parents=True)
    told: dict[str, Any] = {"ledger": str(folder / "deliveries.db"), "server": server.url}
    assert reconcile(ReconcileOptions((str(empty),), **told)).code == 4
    early = ReconcileOptions((str(empty),), complete=True, **told)
    assert reconcile(early).code == 4  # it may still come in
    late = ReconcileOptions((str(empty),), complete=True, settled_minutes=0.0, **told)
    assert reconcile(late).made["states"] == {"planned": 1}
    assert deliver(options).made["states"] == {"accepted": 1}
    assert len(mail.taken) == 1


def test_a_log_that_began_after_the_mail_says_nothing_of_it(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    """It was rotated meanwhile: what the older file tells would go a second time."""
    (name,) = planned(folder, server, "ada")
    mail.data = [CUT]
    deliver(deliver_options(folder, server, smtp_port=mail.port))
    told: dict[str, Any] = {"ledger": str(folder / "deliveries.db"), "server": server.url}
    log = folder / "mail.log"
    for minutes, state in ((1, "unknown"), (-1, "planned")):
        begun = datetime.now(UTC) + timedelta(minutes=minutes)
        log.write_text(f"{begun.isoformat()} mx postfix/qmgr[8]: A1: from=<n@sender.example>\n")
        whole = ReconcileOptions((str(log),), complete=True, settled_minutes=0.0, **told)
        assert reconcile(whole).made["states"] == {state: 1}
    assert status(server, name) == "confirmed"


def test_a_run_that_was_cut_off_leaves_its_mail_unknown(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    ids = planned(folder, server, "ada", "bob")
    options = deliver_options(folder, server, smtp_port=mail.port)
    mail.rcpt = lambda address: "451 not now"
    deliver(options)
    with closing(DeliveryLedger(folder / "deliveries.db")) as ledger:
        ledger.attempt(ids[:1], "somewhere@sender.example", 1)  # and then the power went
    mail.rcpt = lambda address: None
    result = deliver(deliver_options(folder, server, smtp_port=mail.port, wait_minutes=1))
    assert result.made["states"] == {"accepted": 1, "unknown": 1}
    assert [to.partition(".")[0] for to, _ in mail.taken] == ["bob"]


def test_a_server_that_refuses_the_sender_ends_the_run(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    planned(folder, server, "ada", "bob")
    mail.mail = "553 5.7.1 not your domain"
    with pytest.raises(DeliveryError, match=r"MAIL FROM.*553.*mend the settings"):
        deliver(deliver_options(folder, server, smtp_port=mail.port))
    assert {row["state"] for row in rows(folder)} == {"planned"}


def test_a_server_that_refuses_everybody_makes_no_address_dead(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    ids = planned(folder, server, *[f"lead{number}" for number in range(5)])
    mail.rcpt = lambda address: "550 relay access denied"
    options = deliver_options(folder, server, smtp_port=mail.port, brake_after=3)
    with pytest.raises(DeliveryError, match=r"last 3 mails were refused.*relay access denied"):
        deliver(options)
    assert {row["state"] for row in rows(folder)} == {"planned"}
    assert [events(server, folder, name) for name in ids] == [[]] * 5
    mail.rcpt = lambda address: None
    assert deliver(options).made["states"] == {"accepted": 5}


def test_a_server_that_is_away_leaves_everything_planned(
    folder: Path, server: RunningServer
) -> None:
    planned(folder, server, "ada")
    with scripted() as gone:
        port = gone.port
    result = deliver(deliver_options(folder, server, smtp_port=port))
    assert (result.code, result.made["states"]) == (3, {"planned": 1})


def test_results_reach_the_server_once_though_they_are_told_twice(
    folder: Path, server: RunningServer, mail: Scripted
) -> None:
    (name,) = planned(folder, server, "ada")
    options = deliver_options(folder, server, smtp_port=mail.port)
    deliver(options)
    with closing(sqlite3.connect(folder / "deliveries.db")) as file:  # as before a crash
        file.execute(
            "UPDATE deliveries SET event = 'sent', contact_id = ?", (f"ada.{folder.name}",)
        )
        file.commit()
    deliver(options)
    assert events(server, folder, name) == ["sent"]
    assert rows(folder)[0]["event"] is None


def test_nothing_is_sent_without_the_policy_server(
    folder: Path, server: RunningServer, mail: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(folder, server, "ada")
    write_table(folder / "decided.parquet", server, f"d-ada.{folder.name}")
    told = {"decided": str(folder / "decided.parquet"), "smtp_port": mail.port}
    hasty = partial(PolicyClient, patience=0.5)  # else it asks for half a minute
    monkeypatch.setattr("nurture_rl.delivery.deliver_options.PolicyClient", hasty)
    away = replace(deliver_options(folder, server, **told), server="http://127.0.0.1:9")
    with pytest.raises(DeliveryError, match="policy server did not do as asked"):
        deliver(away)
    assert mail.taken == []
    assert {row["state"] for row in rows(folder)} == {"planned"}


def test_the_password_goes_over_tls_alone_and_only_to_whom_is_trusted(
    folder: Path, server: RunningServer
) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    made += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    def allowed(_: object, __: object, ___: object, ____: object, told: object) -> AuthResult:
        good = isinstance(told, LoginPassword) and told.password == b"secret"
        return AuthResult(success=good, handled=False)

    planned(folder, server, "ada")
    (folder / "password").write_text("secret\n")
    (folder / "password").chmod(0o600)
    told: dict[str, Any] = {"smtp_user": "me", "smtp_password_file": str(folder / "password")}
    with pytest.raises(ConfigError, match="for all to read"):
        deliver(deliver_options(folder, server, **told))
    told |= {"smtp_security": "starttls", "smtp_host": "localhost"}
    demands = {"require_starttls": True, "auth_required": True, "authenticator": allowed}
    with scripted(tls_context=tls, **demands) as mail:
        told["smtp_port"] = mail.port
        with pytest.raises(DeliveryError, match=r"certificate verify failed.*nothing was sent"):
            deliver(deliver_options(folder, server, **told))
        told["smtp_ca_file"] = str(folder / "cert.pem")
        (folder / "password").write_text("wrong\n")
        with pytest.raises(DeliveryError, match="535"):
            deliver(deliver_options(folder, server, **told))
        (folder / "password").write_text("secret\n")
        assert deliver(deliver_options(folder, server, **told)).code == 0
        assert len(mail.taken) == 1
