"""Approved texts are what was approved, or nothing is sent; nobody's name becomes a header."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nurture_envs.journey import Message
from nurture_rl.delivery.mail_bytes import decision_digest, mail_bytes, mail_from, message_id
from nurture_rl.delivery.message_templates import read_template
from nurture_rl.delivery.planned_sends import PlannedSend
from nurture_rl.delivery.recipients import Recipient, checked_address, read_recipients
from nurture_rl.delivery.rendering import MailTexts
from nurture_rl.errors import ConfigError, DeliveryError
from tests.unit.delivery.now_sends import PAGE, WELCOME, now_journey, write_templates

MESSAGE = Message("welcome", "activate", "product", offer="tour", approval="approved",
                  blocks=("intro", "tour"))  # fmt: skip
LINK = "<https://policy.example/u/token>"
PLAN = PlannedSend("d1", "ada", "inbound_lead", "welcome", 0, None, None, LINK)
FIELDS = {"first_name": "Ada", "city": "Köln"}
AUTHOR = mail_from("News <news@sender.example>", None, None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Subject: ", "Subjekt: ", r"welcome\.txt:1: expected `Subject: \.\.\.`"),
        ("[[block tour]]", "[[block toor]]", r"blocks of message welcome, intro, tour, each once"),
        ("[[block tour]]", "[[block intro]]", r"got intro, intro"),
        ("[[end]]\n[[block tour]]", "[[block tour]]", r"welcome\.txt:7: .* of block intro before"),
        ("[[block intro]]\n", "", r"welcome\.txt:6: expected \[\[block NAME\]\] before"),
        ("[[block intro]]", "x [[block intro]]", r"welcome\.txt:4: .* alone on its line"),
        ("{{city}}", "{{ci ty}}", r"welcome\.txt:9: expected fields as"),
        ("{{city}}", "{{city}", r"welcome\.txt:9: expected fields as"),
    ],
)
def test_a_text_that_is_not_as_it_must_be_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in WELCOME
    (tmp_path / "welcome.txt").write_text(WELCOME.replace(old, new, 1), "utf-8")
    with pytest.raises(DeliveryError, match=said):
        read_template(tmp_path, MESSAGE)


def test_pages_have_the_same_blocks(tmp_path: Path) -> None:
    write_templates(tmp_path)
    (tmp_path / "welcome.html").write_text(PAGE.replace("block tour", "block other"), "utf-8")
    with pytest.raises(DeliveryError, match=r"welcome\.html: expected the blocks"):
        read_template(tmp_path, MESSAGE)


def test_drafts_are_not_sent(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="welcome, which is draft"):
        read_template(write_templates(tmp_path), replace(MESSAGE, approval="draft"))


def test_a_field_that_nobody_has_is_named_with_its_place(tmp_path: Path) -> None:
    template = read_template(write_templates(tmp_path), MESSAGE)
    template.require_fields(["first_name", "city"], Path("r.csv"))
    with pytest.raises(DeliveryError, match=r"welcome\.txt:9: .* of r\.csv or one of .* got city"):
        template.require_fields(["first_name"], Path("r.csv"))


def texts(folder: Path) -> MailTexts:
    return MailTexts(write_templates(folder), [now_journey()])


def recipient(**fields: str) -> Recipient:
    return Recipient("ada@example.com", "example.com", FIELDS | fields)


def test_an_empty_field_takes_its_default_or_is_an_error(tmp_path: Path) -> None:
    mail = texts(tmp_path).rendered(PLAN, recipient(first_name=""))
    assert mail.subject == "A tour, for you"
    assert mail.text.startswith("Hello there,")
    with pytest.raises(DeliveryError, match=r"welcome\.txt:9: .* of city for contact 'ada'"):
        texts(tmp_path).rendered(PLAN, recipient(city=""))


def test_values_are_text_in_a_page(tmp_path: Path) -> None:
    mail = texts(tmp_path).rendered(PLAN, recipient(city='<b onclick="x">'))
    assert "<p>&lt;b onclick=&quot;x&quot;&gt;</p>" in str(mail.html)
    assert '<b onclick="x">' in mail.text


def test_a_journeys_own_text_comes_first(tmp_path: Path) -> None:
    own = write_templates(tmp_path / "inbound_lead")
    (own / "welcome.txt").write_text(WELCOME.replace("A tour", "Own"), "utf-8")
    assert texts(tmp_path).rendered(PLAN, recipient()).subject == "Own, Ada"


@pytest.mark.parametrize("sign", ["\n", "\r", "\x00", "\u2028", "\x85"])
@pytest.mark.parametrize("column", ["first_name", "email"])
def test_no_value_brings_a_header_along(tmp_path: Path, sign: str, column: str) -> None:
    cells = {"contact_id": "ada", "email": "ada@example.com", "first_name": "Ada"}
    cells[column] += f"{sign}Bcc: all@example.com"
    row = ",".join(f'"{cell}"' for cell in cells.values())
    path = tmp_path / "r.csv"
    path.write_bytes(f"{','.join(cells)}\n{row}\n".encode())
    with pytest.raises(DeliveryError, match="ada"):
        read_recipients(path, ["ada"])


def test_a_mail_has_the_headers_that_were_meant_and_no_other(tmp_path: Path) -> None:
    mail = texts(tmp_path).rendered(PLAN, recipient(first_name="Zoë " * 60))
    content = mail_bytes(mail, AUTHOR, 0.0)
    head, _, _ = content.partition(b"\r\n\r\n")
    names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] != b" "]
    assert names == [
        *("Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "To", "Subject", "From"),
        *("Date", "MIME-Version", "Content-Type"),
    ]
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert f"List-Unsubscribe: {LINK}\r\n".encode() in content


def test_the_message_id_is_the_decisions_alone() -> None:
    assert message_id("d1", AUTHOR) == f"{decision_digest('d1')}@sender.example"
    assert decision_digest("d1") != decision_digest("d2")


def test_a_mail_without_a_way_out_is_none(tmp_path: Path) -> None:
    mail = texts(tmp_path).rendered(PLAN, recipient())
    with pytest.raises(DeliveryError, match="public_url"):
        mail_bytes(replace(mail, plan=replace(PLAN, list_unsubscribe=None)), AUTHOR, 0.0)


@pytest.mark.parametrize(
    "given",
    [
        *("", "ada", "a b@example.com", "a@b", "a,b@example.com", "<a@b.de>", "ä@example.com"),
        *("a@-x.de", "a@example.com, b@example.com", f"{'a' * 250}@example.com"),
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(DeliveryError, match="expected an address"):
        checked_address(given, "r.csv")


def test_an_international_domain_is_written_in_ascii() -> None:
    assert checked_address(" Ada.L@Bücher.example", "r.csv") == "Ada.L@xn--bcher-kva.example"


def test_an_author_is_one_address() -> None:
    for wrong in ("nobody", "a@b.de, c@d.de", "a@b.de\nBcc: c@d.de"):
        with pytest.raises(ConfigError, match="from_address"):
            mail_from(wrong, None, None)


def test_contacts_are_found_however_their_ids_are_spelled(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("contact_id,email\nADA,ada@gmail.com\nbob,bob@example.com\n", "utf-8")
    found = read_recipients(path, ["ada "])
    assert {name: one.family for name, one in found.items()} == {"ada": "google"}
    path.write_text("contact_id,email\nADA,a@b.de\nada,c@b.de\n", "utf-8")
    with pytest.raises(DeliveryError, match="a row per contact"):
        read_recipients(path, ["ada"])
