"""Times that senders sign: not too old, and not ahead of our clock."""

from __future__ import annotations

import re

from nurture_rl.serving.senders.sender_adapter import NotSigned

_AHEAD_US = 300_000_000  # by which a sender's clock may run ahead of ours
_HOUR_US = 3_600_000_000


def seconds_of(stamp: str) -> int | None:
    """A count of seconds since 1970, UTC; None: it is none."""
    return int(stamp) if re.fullmatch(r"[0-9]{1,12}", stamp) else None


def require_recent(signed_us: int, now_us: int, hours: int) -> None:
    """Refuse what was signed too long ago.

    Args:
        signed_us: when, microseconds since 1970 UTC.
        now_us: now, likewise.
        hours: the oldest that is taken; there must be room for the sender's own retries.

    Raises:
        NotSigned: it is older, or ahead of our clock.
    """
    age_us = now_us - signed_us
    if not -_AHEAD_US <= age_us <= hours * _HOUR_US:
        raise NotSigned(
            f"expected a signature of the last {hours} hours, got one of "
            f"{age_us / _HOUR_US:.1f} hours ago"
        )
