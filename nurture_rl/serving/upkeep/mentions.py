"""Whether JSON text speaks of a contact."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from nurture_rl.serving.names import contact_key


def mentions(text: str, keys: Collection[str]) -> bool:
    """Whether a text or a name inside a JSON text is a contact's id, in any spelling.

    In a text that is not JSON, such as one that was cut off, an id between quotes counts; in a line
    that could not be read, which a quarantine holds as one JSON string, an id that is a word.

    Args:
        text: the JSON text.
        keys: of the contacts, by `contact_key`.
    """
    try:
        value = json.loads(text)
    except ValueError:
        small = text.casefold()
        return any(f'"{key}"' in small or json.dumps(key) in small for key in keys)
    if isinstance(value, str) and any(_has_word(value.casefold(), key) for key in keys):
        return True
    return any(contact_key(one.removeprefix("id:")) in keys for one in _texts(value))


def _has_word(text: str, word: str) -> bool:
    return word in text and bool(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _texts(one)
