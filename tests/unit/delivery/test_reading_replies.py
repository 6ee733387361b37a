"""What people answer stops mail, opens hand-offs and reaches the log, each once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.delivery.delivering import deliver
from nurture_rl.delivery.mail_bytes import decision_digest
from nurture_rl.delivery.reading_replies import LEFT, RepliesOptions, replies
from nurture_rl.errors import ConfigError, DeliveryError, LogError
from nurture_rl.logs.ingest import ingest_folder
from tests.pipeline.running_server import RunningServer
from tests.unit.delivery.now_sends import deliver_options
from tests.unit.delivery.scripted_smtp import scripted
from tests.unit.delivery.test_deliver_by_smtp import planned
from tests.unit.delivery.test_reading_back import address, preferences, status


def write(folder: Path, number: int, sender: str, text: str, **headers: str) -> Path:
    """A mail as a file."""
    made = EmailMessage()
    now = datetime.now(UTC) - timedelta(minutes=5)
    told = {"From": sender, "Date": format_datetime(now), "Subject": "Re: News"}
    told["Message-ID"] = f"<{number}.{folder.name}@firm.example>"
    for name, value in {**told, **headers}.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    (folder / "mails").mkdir(exist_ok=True)
    path = folder / "mails" / f"{number}.eml"
    path.write_bytes(made.as_bytes())
    return path


def options(folder: Path, **changes: Any) -> RepliesOptions:
    told: dict[str, Any] = {"mail": (str(folder / "mails"),), "unread": str(folder / "read.jsonl")}
    return RepliesOptions(**{**told, "recipients": str(folder / "recipients.csv"), **changes})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_replies_stop_mail_at_the_server_and_count_once(
    folder: Path, server: RunningServer
) -> None:
    ids = planned(folder, server, "ada", "bob", "cy", "dee", "eve")
    write(folder, 1, address(folder, "ada"), "Please remove me from your mailing list.")
    away = "I am out of the office until 2027-06-01 without access to mail."
    write(folder, 2, address(folder, "bob"), away, Auto_Submitted="auto-replied")
    write(folder, 3, address(folder, "cy"), "Yes please, send me an offer. Tuesday is fine.")
    write(folder, 4, address(folder, "dee"), "xyzzy plugh frotz")  # nobody can tell
    write(folder, 5, "stranger@elsewhere.example", "Unsubscribe me.")
    ours = "To leave this list, unsubscribe here."
    write(folder, 6, address(folder, "eve"), f"Thank you!\n\nOn 8 June, A wrote:\n> {ours}")
    result = replies(options(folder, server=server.url))
    assert result.code == LEFT
    assert result.made["mails"] == {
        "unsubscribe_request": 2,
        "out_of_office": 1,
        "positive": 1,
        "unclear": 1,
        "other": 1,
    }
    told = [status(server, name) for name in ids]
    assert told == ["withdrawn", "withdrawn", "send", "withdrawn", "send"]
    words = [one["word"] for one in preferences(server, folder, "ada")["ledger"]]
    assert "objected" in words
    unread = lines(folder / "read.jsonl")
    assert [(one["label"], one["from"]) for one in unread] == [
        ("unclear", address(folder, "dee")),
        ("unsubscribe_request", "stranger@elsewhere.example"),
    ]
    assert (folder / "read.jsonl").stat().st_mode & 0o777 == 0o600
    again = replies(options(folder, server=server.url))
    assert again.made["events"] == result.made["events"] == 6  # one of them holds mail back
    assert [one["word"] for one in preferences(server, folder, "ada")["ledger"]] == words


def test_events_for_the_log_name_decision_kind_topic_and_end(
    folder: Path, server: RunningServer
) -> None:
    ids = planned(folder, server, "ada", "bob")
    with scripted() as mail:
        deliver(deliver_options(folder, server, smtp_port=mail.port))
    answered = f"<{decision_digest(ids[0])}@news.example>"
    elsewhere = "private.box@home.example"  # answers from another address
    write(folder, 1, elsewhere, "That is too expensive for us.", In_Reply_To=answered)
    write(folder, 2, address(folder, "bob"), "Ich bin bis 1.6.2027 im Urlaub und nicht erreichbar.")
    out, ledger = folder / "replies.jsonl", str(folder / "deliveries.db")
    replies(
        options(folder, server=server.url, out=str(out), ledger=ledger, topics=("price=pricing",))
    )
    first, second = lines(out)
    assert first["contact_id"] == f"ada.{folder.name}"
    assert first["decision_id"] == ids[0]
    assert (first["type"], first["reply_class"]) == ("reply", "objection")
    assert (first["properties"], first["topic"]) == ({"kind": "price"}, "pricing")
    assert second["reply_class"] == "out_of_office"
    assert second["properties"] == {"until": "2027-06-01"}
    assert "decision_id" not in second
    raw = folder / "raw"
    raw.mkdir()
    (raw / "events-replies.jsonl").write_bytes(out.read_bytes())
    (raw / "contacts.csv").write_text(f"contact_id,consent\nada.{folder.name},true\n", "utf-8")
    summary = ingest_folder(raw, folder / "log", None, None, lambda line: None)
    assert [table.quarantined for table in summary.tables] == [0, 0, 0]
    assert summary.contacts == 2


def test_a_bounce_and_a_complaint_are_told_of_whom_they_are_about(folder: Path) -> None:
    (folder / "recipients.csv").write_text("contact_id,email\nada,ada@firm.example\n", "utf-8")
    told = {
        "delivery-status": "Final-Recipient: rfc822; ada@firm.example\nAction: failed\nStatus: {}",
        "feedback-report": "Feedback-Type: abuse\nOriginal-Rcpt-To: ada@firm.example",
    }
    (folder / "mails").mkdir()
    for number, (kind, status_) in enumerate(
        [("delivery-status", "5.1.1"), ("delivery-status", "4.2.2"), ("feedback-report", "")]
    ):
        text = (
            f"From: daemon@mx.example\nDate: Wed, 10 Jun 2026 09:00:00 +0000\n"
            f"Message-ID: <{number}@mx.example>\nMIME-Version: 1.0\n"
            f'Content-Type: multipart/report; report-type={kind}; boundary="b"\n\n--b\n'
            f"Content-Type: text/plain\n\nunsubscribe me\n--b\nContent-Type: message/{kind}\n\n"
            f"{told[kind].format(status_)}\n--b--\n"
        )
        (folder / "mails" / f"{number}.eml").write_text(text, "utf-8")
    result = replies(options(folder, out=str(folder / "out.jsonl")))
    assert result.code == 0
    found = [(one["type"], one["contact_id"]) for one in lines(folder / "out.jsonl")]
    assert found == [("hard_bounce", "ada"), ("soft_bounce", "ada"), ("complaint", "ada")]


def test_a_mail_in_two_places_counts_once_and_a_program_opts_nobody_out(folder: Path) -> None:
    (folder / "recipients.csv").write_text("contact_id,email\nada,ada@firm.example\n", "utf-8")
    path = write(folder, 1, "ada@firm.example", "Thanks!")
    (folder / "mails" / "copy.eml").write_bytes(path.read_bytes())
    ticket = "Ticket 12 was opened. To unsubscribe from ticket updates, click below."
    write(folder, 2, "ada@firm.example", ticket, Auto_Submitted="auto-generated")
    result = replies(options(folder, out=str(folder / "out.jsonl")))
    assert result.made["mails"] == {"other": 1, "automatic": 1}
    (row,) = lines(folder / "out.jsonl")
    assert (row["type"], row.get("reply_class")) == ("reply", None)


def test_one_message_id_of_two_people_is_two_mails(folder: Path) -> None:
    (folder / "recipients.csv").write_text(
        "contact_id,email\nada,ada@firm.example\nbob,bob@firm.example\n", "utf-8"
    )
    no = "Please remove me from your mailing list."
    same = {"Message-ID": "<0@firm.example>"}
    write(folder, 1, "ada@firm.example", no, **same)
    write(folder, 2, "bob@firm.example", no, **same)
    replies(options(folder, out=str(folder / "out.jsonl")))
    found = lines(folder / "out.jsonl")
    assert [one["contact_id"] for one in found] == ["ada", "bob"]
    assert len({one["event_id"] for one in found}) == 2


def test_a_reply_to_somebody_elses_mail_names_no_decision(
    folder: Path, server: RunningServer
) -> None:
    ids = planned(folder, server, "ada", "bob")
    with scripted() as mail:
        deliver(deliver_options(folder, server, smtp_port=mail.port))
    forwarded = f"<{decision_digest(ids[0])}@news.example>"
    write(folder, 1, address(folder, "bob"), "Unsubscribe me please.", In_Reply_To=forwarded)
    out, ledger = folder / "replies.jsonl", str(folder / "deliveries.db")
    replies(options(folder, server=server.url, out=str(out), ledger=ledger))
    (row,) = lines(out)
    assert (row["contact_id"], row["reply_class"]) == (f"bob.{folder.name}", "unsubscribe_request")
    assert "decision_id" not in row


def test_labelled_replies_of_ones_own_teach_and_check(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "recipients.csv").write_text("contact_id,email\nada,ada@firm.example\n", "utf-8")
    write(folder, 1, "ada@firm.example", "zap the gizmo feed")
    mine = folder / "mine.csv"
    rows = "".join(f"unsubscribe_request,,zap the gizmo feed {n}\n" for n in range(5))
    mine.write_text(f"label,subject,text\n{rows}", "utf-8")
    before = replies(options(folder, out=str(folder / "out.jsonl"), labels=()))
    after = replies(options(folder, out=str(folder / "out.jsonl"), labels=(str(mine),)))
    assert before.made["mails"] != {"unsubscribe_request": 1}
    assert after.made["mails"] == {"unsubscribe_request": 1}
    checked = replies(RepliesOptions(check=str(mine), labels=(str(mine),)))
    assert checked.made["recall"]["unsubscribe_request"] == 1.0
    assert "5 labelled replies: the same class in 100.0%, kappa 1.00" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"mail": ()}, ConfigError, "mail: expected at least one"),
        ({}, ConfigError, "somebody to tell"),
        ({"out": "x.jsonl", "unread": "./x.jsonl"}, ConfigError, "another file than unread"),
        ({"out": "x.csv"}, ConfigError, r"ends in \.jsonl"),
        ({"out": "x.jsonl", "topics": ("cost=pricing",)}, ConfigError, "topics: expected KIND"),
        ({"out": "x.jsonl", "days": 0.0}, ConfigError, "days: expected above 0"),
        ({"out": "x.jsonl", "hold_days": -1.0}, ConfigError, "hold_days"),
        ({"out": "x.jsonl", "ledger": "none.db"}, DeliveryError, "ledger of deliveries"),
        ({"check": "none.csv"}, LogError, "labelled replies"),
        ({"server": "http://127.0.0.1:1", "password_file": "none"}, ConfigError, "password_file"),
    ],
)
def test_wrong_settings_are_told_in_one_line(
    folder: Path, changes: dict[str, Any], kind: type[Exception], said: str
) -> None:
    (folder / "recipients.csv").write_text("contact_id,email\nada,ada@firm.example\n", "utf-8")
    write(folder, 1, "ada@firm.example", "Yes.")
    with pytest.raises(kind, match=said):
        replies(options(folder, **changes))
    assert not (folder / "x.jsonl").exists()
