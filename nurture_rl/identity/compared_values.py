"""What people write into forms → what can be compared: without case, accents and ornament."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

_LEGAL_FORMS = frozenset(
    {
        *("ab", "ag", "as", "bv", "co", "company", "corp", "corporation", "gmbh", "inc"),
        *("incorporated", "kg", "kk", "limited", "llc", "llp", "ltd", "mbh", "nv", "ohg", "oy"),
        *("plc", "pty", "sa", "sarl", "se", "sl", "spa", "srl", "ug"),
    }
)
_STREETS = MappingProxyType(
    {
        "avenue": "ave",
        "boulevard": "blvd",
        "drive": "dr",
        "east": "e",
        "lane": "ln",
        "north": "n",
        "place": "pl",
        "road": "rd",
        "south": "s",
        "square": "sq",
        "strasse": "str",
        "street": "st",
        "west": "w",
    }
)
_LEAST_DIGITS = 6  # of a telephone number; fewer are an extension


def comparable(text: str, kind: str) -> str | None:
    """A value as it is compared; None where it says nothing.

    Args:
        text: as it was written.
        kind: one of `KINDS`.
    """
    return KINDS[kind](text) or None


def _email(text: str) -> str:
    """Lower case, without a tag after a plus sign; what is no address says nothing."""
    local, _, domain = text.strip().lower().rpartition("@")
    local = local.partition("+")[0]
    return f"{local}@{domain}" if local and "." in domain else ""


def _words(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss").lower())
    letters = "".join(one for one in plain if not unicodedata.combining(one))
    return " ".join(re.sub(r"[^\w]+", " ", letters.replace("'", "")).replace("_", " ").split())


def _company(text: str) -> str:
    """Words without legal forms at the end."""
    words = _words(text).split()
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    return " ".join(words)


def _address(text: str) -> str:
    words = _words(text.lower().replace("straße", "strasse")).split()
    return " ".join(_STREETS.get(word, word) for word in words)


def _phone(text: str) -> str:
    """Digits without the country's or the trunk's leading zeros."""
    digits = re.sub(r"\D", "", text).lstrip("0")
    return digits if len(digits) >= _LEAST_DIGITS else ""


def _postcode(text: str) -> str:
    return re.sub(r"[^\w]", "", text).upper()


KINDS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "email": _email,
        "name": _words,
        "phone": _phone,
        "company": _company,
        "address": _address,
        "postcode": _postcode,
        "exact": _words,
    }
)
