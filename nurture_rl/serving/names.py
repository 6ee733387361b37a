"""The one form in which contact ids are compared, wherever they come from."""

from __future__ import annotations

import re
import unicodedata

EVERYBODY = ""  # among keys of contacts: all of them
_INVISIBLE = ("Cc", "Cf")  # control and format characters: NUL, zero-width space, byte-order mark
# Signs of other categories that are drawn as nothing: selectors of variants, fillers, joiners.
_FILLERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def contact_key(name: str) -> str:
    """The id without surrounding space, case, invisible characters and Unicode variants.

    `"d4 "`, `"D4"` and a full-width `"Ｄ４"` are one contact: an opt-out must also apply where one
    system writes ids in capitals. Ids that differ only in case (such as Salesforce's ids of 15
    characters) are taken for one; use their long form.
    """
    if name.isascii() and name.isprintable():
        return name.lower().strip()  # the same, ten times faster
    name = _FILLERS.sub("", name)
    seen = "".join(sign for sign in name if unicodedata.category(sign) not in _INVISIBLE)
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold()).strip()
