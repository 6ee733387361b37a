"""JSON as senders write it: a text that is cut inside of a sign loses that sign, not the report."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

Value = TypeVar("Value")

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Escapes: of one sign, of a pair that makes one, or of half a pair, which is no text. Browsers
# write such halves where a program cuts a title inside of an emoji.
_ESCAPES = re.compile(
    rb"\\(?:[^u]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
_NO_SIGN = rb"\ufffd"


def read_report(decoder: msgspec.json.Decoder[Value], content: bytes | str) -> Value:
    """The value of a JSON text. Halves of signs, and bytes that are no UTF-8, become U+FFFD.

    Args:
        decoder: of the type that is expected.
        content: what came.

    Raises:
        msgspec.DecodeError: it is no JSON, or of another type.
        RecursionError: it is nested too deeply.
    """
    try:
        return decoder.decode(content)
    except msgspec.ValidationError:  # JSON of another type
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = content if isinstance(content, str) else content.decode("utf-8", "replace")
        return decoder.decode(_ESCAPES.sub(_whole, text.encode("utf-8", "replace")))


def _whole(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape["half"] is None else _NO_SIGN
