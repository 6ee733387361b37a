"""Classes of replies that nobody learned from: made up by others than the labelled ones."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest

from nurture_rl.errors import LogError
from nurture_rl.replies.away_until import away_until
from nurture_rl.replies.labelled_replies import (
    LABELS,
    LabelledReply,
    read_labelled,
    shipped_replies,
)
from nurture_rl.replies.reply_agreement import agreement
from nurture_rl.replies.reply_classes import NO, STOP, UNCLEAR, shipped_classifier

UNSEEN = Path(__file__).with_name("unseen_replies.csv")
HELD = (UNCLEAR, "wrong_person")
WRITTEN = date(2026, 6, 10)  # when all of them came


def unseen(number: str) -> list[LabelledReply]:
    """One of three sets: 1 is of hard ones, 2 and 3 are as an inbox is."""
    with UNSEEN.open(encoding="utf-8", newline="") as file:
        sets = [row["set"] for row in csv.DictReader(file)]
    return [row for row, of in zip(read_labelled(UNSEEN), sets, strict=True) if of == number]


def given(rows: list[LabelledReply]) -> list[str]:
    texts = [(one.subject, one.text) for one in rows]
    return [one.label for one in shipped_classifier().classes(texts)]


def test_nothing_unseen_was_learned() -> None:
    known = {one.text.strip().lower() for one in shipped_replies()}
    for number in ("1", "2"):
        assert not {one.text.strip().lower() for one in unseen(number)} & known
    again = [one for one in unseen("3") if one.text.strip().lower() in known]
    assert len(again) <= 25  # "no thanks" and the like: the set was made last


@pytest.mark.parametrize(
    ("number", "kappa", "recall", "stopped"),
    [("1", 0.6, 0.7, 0.96), ("2", 0.78, 0.88, 0.98), ("3", 0.78, 0.88, 0.98)],
)
def test_unseen_replies(number: str, kappa: float, recall: float, stopped: float) -> None:
    rows = unseen(number)
    labels = given(rows)
    found = agreement([one.label for one in rows], labels)
    assert found.kappa >= kappa
    assert (found.of(STOP).recall or 0.0) >= recall
    pairs = list(zip(rows, labels, strict=True))
    noes = [label for one, label in pairs if one.label == STOP]
    assert sum(label in (STOP, NO, *HELD) for label in noes) >= stopped * len(noes)
    others = [label for one, label in pairs if one.label not in (STOP, NO)]
    assert sum(label in (STOP, NO) for label in others) <= 0.08 * len(others)


def test_absence_is_no_engagement_and_its_end_is_read() -> None:
    rows = [one for one in (*unseen("2"), *unseen("3")) if one.label == "out_of_office"]
    assert set(given(rows)) <= {"out_of_office", "automatic", UNCLEAR}
    ends = [away_until(f"{one.subject}\n{one.text}", WRITTEN) for one in rows]
    right = sum(end == one.until for end, one in zip(ends, rows, strict=True))
    assert right >= 0.95 * len(rows)


def test_a_word_in_the_last_line_of_a_long_mail_is_heard() -> None:
    text = (
        "Hello Sam, the guide was well made and the part on returns helped us a lot. We showed it "
        "to the whole team on Monday.\n\nOne more thing: please take me off your mailing list."
    )
    assert given([LabelledReply(STOP, None, None, None, "Re: Guide", text)]) == [STOP]


def test_chances_do_not_depend_on_company() -> None:
    rows = unseen("2")[:40]
    alone = [given([one])[0] for one in rows]
    assert alone == given(rows)


def test_all_labels_are_shipped_in_four_languages() -> None:
    assert {(one.language, one.label) for one in shipped_replies()} == {
        (language, label) for language in ("en", "de", "fr", "es") for label in LABELS
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label,text\nother,hi\n", "got no subject"),
        ("label,subject,text\nhappy,,hi\n", "line 2: expected a label"),
        ("label,kind,subject,text\nother,price,,hi\n", "line 2: expected no kind"),
        ("label,until,subject,text\nout_of_office,12.6.,,hi\n", "line 2: expected until"),
        ('label,subject,text\nother,"hi\n', "expected labelled replies"),
    ],
)
def test_labelled_files_are_checked(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(LogError, match=said):
        read_labelled(path)
