"""What a person wrote is kept, what the mail quotes is not."""

from __future__ import annotations

import pytest

from nurture_rl.replies.own_words import own_words, text_of_html

OURS = "To leave this list, unsubscribe here."


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"Yes, Tuesday.\n\nOn 8 Jun, Ada <a@b.example> wrote:\n> {OURS}", "Yes, Tuesday."),
        (f"Yes.\n\nOn 8 Jun 2026, Ada Long\n<a@firm.example> wrote:\n\n{OURS}", "Yes."),
        (f"Nein danke.\n\nAm 08.06.26 um 10:12 schrieb Ada Lang:\n> {OURS}", "Nein danke."),
        (f"Oui.\nLe lun. 8 juin 2026 à 10:12, Ada a écrit :\n> {OURS}", "Oui."),
        (f"Sí.\nEl lun, 8 jun 2026, Ada escribió:\n> {OURS}", "Sí."),
        (f"Call me.\n\n-----Original Message-----\nFrom: Ada\n{OURS}", "Call me."),
        (f"Ruf an.\n\nVon: Ada\nGesendet: Montag\nAn: Bob\n\n{OURS}", "Ruf an."),
        (f"Oui.\n________________________________\nDe : Ada\n{OURS}", "Oui."),
        (f"> {OURS}\n\nPlease take me off.", "Please take me off."),
        ("On Monday, A wrote:\n> price?\n\ntoo dear\n\n> more\n\nstop", "too dear\n\nstop"),
        (f"Yes.\n\nFrom: A\nSent: Monday\nTo: B\n\n{OURS}\n> {OURS}\n{OURS}", "Yes."),
        ("> On 8 Jun, Ada wrote:\n\nstop", "stop"),
        ("Hi,\n" + "> News\n" * 5_000 + "stop", "Hi,\nstop"),
        ("Yes.\n-- \nAda Long\nHead of everything", "Yes."),
        ("Ok\n\nSent from my phone", "Ok"),
        ("On Monday I wrote to you: no.", "On Monday I wrote to you: no."),
        ("From: our side all is well.\nMore later.", "From: our side all is well.\nMore later."),
        ("", ""),
    ],
)  # fmt: skip
def test_own_words(text: str, kept: str) -> None:
    assert own_words(text) == kept
    assert own_words(text.replace("\n", "\r\n")) == kept


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Yes,<br>Tuesday.</p><blockquote><p>Stop</p></blockquote>", "Yes,\nTuesday."),
        ('<div>No.</div><div class="gmail_quote">On Monday <div>unsubscribe</div></div>', "No."),
        ("<style>p {color: red}</style><p>a &amp; b</p><script>stop()</script>", "a & b"),
        ("<p>one<p>two <b>big</b> words", "one\ntwo big words"),
        ("<blockquote><p>never closed", ""),
        ("<p>No.</p><!-- <p>Stop</p> -->", "No."),
        ("<!--[if !mso]><!--><p>a < b</p><!--<![endif]-->", "a b"),
    ],
)  # fmt: skip
def test_html(html: str, text: str) -> None:
    assert text_of_html(html) == text
