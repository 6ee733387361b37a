"""Which texts of a quarantine speak of a contact."""

from __future__ import annotations

import json

import pytest

from nurture_rl.serving.upkeep.mentions import mentions


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": {"b": [" CLEO"]}}', True),
        ('{"keys": ["id:cleo"]}', True),
        ('{"cleo": 1}', True),
        ('{"a": "cleopatra"}', False),
        ('{"a": "Cleo", "cut o', True),
        ('{"a": "cleopatra", "cut o', False),
        ("[1, true, null]", False),
        (json.dumps('{"contact_id": "Cleo", broken'), True),
        (json.dumps("2026-03-05;Cleo;click;"), True),
        (json.dumps("2026-03-05;cleopatra;le-cleo;"), False),
    ],
)
def test_a_text_speaks_of_a_contact(text: str, found: bool) -> None:
    assert mentions(text, {"cleo"}) is found
