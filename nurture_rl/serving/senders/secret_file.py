"""Files of secrets that senders sign with: one word, its owner's alone."""

from __future__ import annotations

from pathlib import Path

from nurture_rl.errors import ConfigError

_SHORTEST = 16  # characters


def secret_in(path: Path, where: str) -> bytes:
    """Read a secret.

    Args:
        path: the file.
        where: the sender shows it, for the message.

    Raises:
        ConfigError: the file holds none that can be used, or others can read it.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected a secret at {path}, got: {error}") from error
    if mode & 0o077:
        raise ConfigError(f"expected {path} to be its owner's alone; chmod 600 {path}")
    if len(text) < _SHORTEST or len(text.split()) != 1:
        raise ConfigError(
            f"expected one secret of at least {_SHORTEST} characters at {path}; copy it from "
            f"{where}"
        )
    return text.encode()


def require_long(secret: bytes, path: Path, form: str) -> None:
    """Refuse a secret that can be guessed, where the word of a file holds more beside it.

    Args:
        secret: the part that nobody else must know.
        path: the file.
        form: what the word must look like, for the message.

    Raises:
        ConfigError: it is too short.
    """
    if len(secret) < _SHORTEST:
        raise ConfigError(
            f"expected {form} at {path}, the secret part of at least {_SHORTEST} characters; got "
            f"one of {len(secret)}"
        )
