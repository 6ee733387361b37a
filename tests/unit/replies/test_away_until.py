"""The end of an absence, in the ways in which people write it."""

from __future__ import annotations

from datetime import date

import pytest

from nurture_rl.replies.away_until import away_until

WRITTEN = date(2026, 6, 10)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("I am out of the office until 2026-06-22.", date(2026, 6, 22)),
        ("I am away from 8 June to 19 June and back on June 22nd, 2026.", date(2026, 6, 22)),
        ("Ich bin bis einschließlich 19.06.2026 nicht im Büro.", date(2026, 6, 19)),
        ("Ab dem 22.6. bin ich wieder da.", date(2026, 6, 22)),
        ("Ab dem 6. Juli bin ich wieder erreichbar.", date(2026, 7, 6)),
        ("Je suis absente jusqu'au 3 juillet inclus.", date(2026, 7, 3)),
        ("De retour le 1er juillet.", date(2026, 7, 1)),
        ("Estaré fuera hasta el 15 de julio de 2026.", date(2026, 7, 15)),
        ("Back on Monday.", date(2026, 6, 15)),
        ("Ich bin am Mittwoch wieder da.", date(2026, 6, 17)),
        ("Parental leave until January 4", date(2027, 1, 4)),
        ("I return on 13/07/2026", date(2026, 7, 13)),
        ("I return on 07/13/26", date(2026, 7, 13)),
        ("Back on 22 June. Our fair is on 20 September. See you there.", date(2026, 6, 22)),
        ("Back in 2029-01-01", None),
        ("I was away until 5 May 2026.", None),
        ("I am away. Call 030/12 34 56 or room 7.12.", None),
        ("Away until 31.02.2027", None),
        ("I am not in the office.", None),
    ],
)
def test_away_until(text: str, day: date | None) -> None:
    assert away_until(text, WRITTEN) == day


def test_of_two_readings_of_a_date_the_first_to_come_is_taken() -> None:
    assert away_until("back on 07/06/2026", WRITTEN) == date(2026, 7, 6)
    assert away_until("back on 12/08/2026", WRITTEN) == date(2026, 8, 12)
