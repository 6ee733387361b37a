"""Which template of a provider carries which message of a journey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nurture_rl.errors import ConfigError

_EVERY = ""  # stands for every message that is not named


def read_template_ids(texts: Sequence[str]) -> dict[str, str]:
    """Ids by message.

    Args:
        texts: each MESSAGE=ID, or =ID for every other message.

    Raises:
        ConfigError: one cannot be read, or a message has two.
    """
    found: dict[str, str] = {}
    for text in texts:
        message, sign, name = (part.strip() for part in text.partition("="))
        if not (sign and name) or message in found:
            raise ConfigError(
                f"template_ids: expected [MESSAGE=ID, ...], each message once, got {text!r}"
            )
        found[message] = name
    return found


def id_of(ids: Mapping[str, str], message: str) -> str:
    """The id for a message.

    Raises:
        ConfigError: there is none.
    """
    found = ids.get(message, ids.get(_EVERY))
    if found is None:
        raise ConfigError(
            f"template_ids: expected the provider's id for message {message}, got none; write "
            f"template_ids=[{message}=ID], or [=ID] for one that carries every message"
        )
    return found


def whole_id(ids: Mapping[str, str], message: str) -> int:
    """The id for a message where the provider counts them.

    Raises:
        ConfigError: there is none, or it is no whole number.
    """
    found = id_of(ids, message)
    if not (found.isascii() and found.isdigit()):
        raise ConfigError(f"template_ids: expected a whole number for {message}, got {found!r}")
    return int(found)
