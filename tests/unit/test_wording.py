"""One contact, two contacts, no contacts."""

from __future__ import annotations

from nurture_rl.wording import counted, plural


def test_a_word_goes_with_its_count() -> None:
    assert [counted(n, "contact") for n in (0, 1, 2)] == ["0 contacts", "1 contact", "2 contacts"]
    assert counted(1, "policy", "policies") == "1 policy"
    assert counted(3, "policy", "policies") == "3 policies"
    assert (plural(1, "is", "are"), plural(2, "is", "are")) == ("is", "are")
