"""What stays of an erased contact: a salted hash, and a stop for whoever comes back by the id."""

from __future__ import annotations

import hashlib

from nurture_rl.serving.records import Event

SALT = "erasure_salt"  # its name in `meta`


def mark_of(salt: str, key: str) -> str:
    """The mark of a contact.

    Args:
        salt: the store's, hexadecimal.
        key: by `contact_key`.
    """
    return hashlib.sha256(bytes.fromhex(salt) + key.encode()).hexdigest()


def stop_of(key: str, mark: str, erased_us: int) -> Event:
    """The stop that a contact who was erased begins with: only consent given later lifts it."""
    return Event(
        event_id=f"erased.{mark[:32]}.{erased_us}",
        contact_id=key,
        occurred_us=erased_us,
        recorded_us=erased_us,
        type="unsubscribe",
        source="erasure",
    )
