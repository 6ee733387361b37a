"""Mails as bytes: who wrote them, when, in which words, and which mail they answer."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nurture_rl.replies.reply_mail import read_mail

DATE = "Wed, 10 Jun 2026 09:00:00 +0200"
DATE_US = int(datetime(2026, 6, 10, 7, tzinfo=UTC).timestamp() * 1e6)


def mail(text: str = "Yes.", **headers: str) -> EmailMessage:
    made = EmailMessage()
    told = {"From": "Ada Long <Ada@Firm.example>", "Date": DATE, "Subject": "Re: News"}
    for name, value in {**told, "Message-ID": "<1@firm.example>", **headers}.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


def test_a_reply() -> None:
    made = mail(
        "Ja, gerne – wann?\n\nAm 9.6.26 schrieb Bob:\n> abmelden",
        In_Reply_To="<b@us.example>",
        References="<a@us.example> <b@us.example>",
    )
    found = read_mail(made.as_bytes())
    assert found.mail_id == "1@firm.example"
    assert found.sender == "ada@firm.example"
    assert found.written_us == DATE_US
    assert (found.subject, found.text) == ("Re: News", "Ja, gerne – wann?")
    assert found.answers == ("b@us.example", "a@us.example")
    assert not found.is_automatic
    assert found.notice is None


def test_html_alone_is_read_and_of_two_forms_the_plain_one() -> None:
    made = mail()
    made.set_content("<p>No.</p><blockquote>Yes.</blockquote>", subtype="html")
    assert read_mail(made.as_bytes()).text == "No."
    both = mail("No.")
    both.add_alternative("<p>Something else</p>", subtype="html")
    assert read_mail(both.as_bytes()).text == "No."


def test_what_programs_write() -> None:
    assert read_mail(mail(Auto_Submitted="auto-replied").as_bytes()).is_automatic
    assert read_mail(mail(X_Autoreply="yes").as_bytes()).is_automatic
    assert read_mail(mail(Precedence="auto_reply").as_bytes()).is_automatic
    assert not read_mail(mail(Auto_Submitted="no").as_bytes()).is_automatic


def report(kind: str, told: str) -> bytes:
    """A report as mail servers send it (RFC 3464, RFC 5965), written out by hand."""
    lines = [
        "From: MAILER-DAEMON@mx.example",
        f"Date: {DATE}",
        "Message-ID: <2@mx.example>",
        f'Content-Type: multipart/report; report-type={kind}; boundary="b"',
        "MIME-Version: 1.0",
        "",
        "--b",
        "Content-Type: text/plain",
        "",
        "It did not arrive.",
        "--b",
        f"Content-Type: message/{kind}",
        "",
        told,
        "--b",
        "Content-Type: message/rfc822",
        "",
        "Message-ID: <sent@us.example>",
        "Subject: News",
        "",
        "Text",
        "--b--",
        "",
    ]
    return "\r\n".join(lines).encode()


def test_a_bounce_names_whom_it_is_about_and_the_mail() -> None:
    told = (
        "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; Ada@Firm.example\r\n"
        "Action: failed\r\nStatus: 5.1.1"
    )
    found = read_mail(report("delivery-status", told))
    assert (found.notice, found.about, found.status) == ("bounce", "ada@firm.example", "5.1.1")
    assert found.answers == ("sent@us.example",)
    late = told.replace("failed", "delayed")
    assert read_mail(report("delivery-status", late)).notice is None


def test_a_complaint_names_whom_it_is_about() -> None:
    told = "Feedback-Type: abuse\r\nOriginal-Rcpt-To: <ada@firm.example>\r\nVersion: 1"
    found = read_mail(report("feedback-report", told))
    assert (found.notice, found.about) == ("complaint", "ada@firm.example")


def test_without_an_id_the_bytes_name_a_mail() -> None:
    made = mail()
    del made["Message-ID"]
    one, other = read_mail(made.as_bytes()), read_mail(made.as_bytes())
    assert one.mail_id == other.mail_id
    assert read_mail(made.as_bytes() + b" ").mail_id != one.mail_id


def test_without_a_date_the_last_server_says_when() -> None:
    made = mail()
    del made["Date"]
    assert read_mail(made.as_bytes()).written_us is None
    made["Received"] = f"from mx.example by our.example with ESMTP id 1; {DATE}"
    assert read_mail(made.as_bytes()).written_us == DATE_US
    broken = mail(Date="some day", Received=f"from mx.example; {DATE}")
    assert read_mail(broken.as_bytes()).written_us == DATE_US


def test_words_in_another_encoding_and_a_wrong_one() -> None:
    told = b"From: a@b.example\r\nContent-Type: text/plain; charset=%s\r\n\r\nf\xfcr sp\xe4ter"
    for charset in (b"iso-8859-1", b"utf-8", b"no-such", b"ascii"):
        assert read_mail(told % charset).text == "für später"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_are_read(data: st.DataObject) -> None:
    whole = mail("Yes", In_Reply_To="<b@us.example>").as_bytes()
    start = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.binary(max_size=60))
    found = read_mail(whole[:start] + junk + whole[start + data.draw(st.integers(0, 40)) :])
    assert found.mail_id
    read_mail(junk)


HEAD = b"From: ada@firm.example\r\nMessage-ID: <1@firm.example>\r\n"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Content-Type: text/plain; charset=undefined\r\n\r\nStop.", "Stop."),
        (b"Content-Type: text/plain; charset=idna\r\n\r\nStop..", "Stop.."),
        (b'Content-Type: text/plain; charset="utf\x00-8"\r\n\r\nStop.', "Stop."),
        (b"Date: Fri, 31 Dec 9999 23:59:00 -1200\r\n\r\nStop.", "Stop."),
        (b"Content-Type: " + b"(" * 20_000 + b"\r\n\r\nStop.", "Stop."),
        (b"Content-Type: message/rfc822\r\n\r\n" * 2_000 + b"Stop.", ""),
        (b"Content-Type: text/html\r\n\r\n<p>Stop.</p>" + b"<a " * 130_000, "Stop."),
        (b"Content-Type: text/html\r\n\r\n<p>Stop.</p>" + b"<!--" * 99_000, "Stop."),
        (b"Content-Type: text/html\r\n\r\n<head><title>x</title><body>Stop.", "Stop."),
    ],
)
def test_a_hostile_mail_is_read_as_far_as_it_goes_and_soon(raw: bytes, text: str) -> None:
    found = read_mail(HEAD + raw)
    assert found.sender == "ada@firm.example"
    assert found.text.split("\n")[0] == text


def test_what_a_mail_carries_is_nobodys_word_and_what_stands_beside_a_footer_is() -> None:
    carrying = mail("Thanks!")
    carrying.add_attachment(mail("Unsubscribe here."))
    assert read_mail(carrying.as_bytes()).text == "Thanks!"
    parts = "".join(
        f"--b\nContent-Type: text/{kind}\n\n{text}\n"
        for kind, text in (("html", "<p>Unsubscribe me.</p>"), ("plain", "Confidential."))
    )
    mixed = f"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n"
    assert read_mail(mixed.encode()).text == "Unsubscribe me.\nConfidential."


def test_a_report_that_is_no_bounce_is_a_programs() -> None:
    delayed = report("delivery-status", "Final-Recipient: rfc822; a@b.example\nAction: delayed")
    found = read_mail(delayed)
    assert (found.notice, found.is_automatic) == (None, True)


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("Pat O'Brien <Pat.O'Brien@firm.example>", "pat.o'brien@firm.example"),
        ("'bob@firm.example' <bob@firm.example>", "bob@firm.example"),
        ('"ceo@firm.example" <bob@other.example>', "bob@other.example"),
    ],
)
def test_the_address_is_the_whole_address(said: str, address: str) -> None:
    assert read_mail(f"From: {said}\n\nYes.".encode()).sender == address


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 +0000", "Fri, 1 Jan 2100 00:00 +0000"])
def test_a_wrong_clock_moves_no_reply_before_consent_or_after_today(date: str) -> None:
    raw = f"Received: from x by y; {DATE}\nFrom: a@b.example\nDate: {date}\n\nStop."
    assert read_mail(raw.encode()).written_us == DATE_US
