"""Arms by time: a whole journey switches between arms, block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from nurture_envs.clock import require_zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Switchback:
    """Blocks of whole local days, each of which has one arm for everybody.

    Block 0 begins with the first day. Blocks before it and after the last planned one are dealt
    too; they are not compared.
    """

    first_day: date  # block 0 begins with this day
    zone: str  # IANA name; days begin when its clocks say so
    block_days: int  # length of a block, days, >= 1
    washout_days: int  # of each block, at its beginning, in which no outcome counts, days
    blocks: int  # planned, a multiple of the number of arms

    def block_at(self, now_us: int) -> int:
        """The block of a moment; negative before the first day.

        Args:
            now_us: microseconds since 1970 UTC.
        """
        return (_local_day(now_us, self.zone) - self.first_day).days // self.block_days

    def day_begins_us(self, day: int) -> int:
        """When a day begins, counted from the first day, microseconds since 1970 UTC.

        Where clocks are set forward at midnight, the day begins with the first moment that there
        is; where midnight comes twice, with the first of both.
        """
        when = self.first_day + timedelta(days=day)
        zone = require_zone(self.zone)
        midnight = datetime(when.year, when.month, when.day, tzinfo=zone).astimezone(UTC)
        return (midnight - _EPOCH) // timedelta(microseconds=1)

    def begins_us(self, block: int) -> int:
        """When a block begins, microseconds since 1970 UTC."""
        return self.day_begins_us(block * self.block_days)


def block_arm(salt: str, arms: Collection[str], block: int) -> str:
    """The arm of a block: the same whoever asks, and whenever.

    As many consecutive blocks as there are arms make a round, in which each arm has one block. A
    keyed hash draws a number for each arm of a round, and the arms come in the order of their
    numbers. So all orders are equally likely, and rounds are drawn independently.

    Args:
        salt: rounds are drawn by a hash of it and their number.
        arms: their names, in any order.
        block: its number; negative before the first day.

    Source: Fisher (1935), The Design of Experiments, on randomised blocks; Missault et al. (2025),
        Robust and efficient multiple-unit switchback experimentation, on balance over time.
    """
    turn, place = divmod(block, len(arms))
    return _order(salt, tuple(arms), turn)[place]


@lru_cache(maxsize=64)  # all contacts of a request ask for the same moment
def _local_day(now_us: int, zone: str) -> date:
    return (_EPOCH + timedelta(microseconds=now_us)).astimezone(require_zone(zone)).date()


@lru_cache(maxsize=64)
def _order(salt: str, arms: tuple[str, ...], turn: int) -> list[str]:
    """The arms of a round, in order."""
    key = hashlib.blake2b(salt.encode(), digest_size=32).digest()

    def drawn(arm: str) -> bytes:
        return hashlib.blake2b(f"round {turn}: {arm}".encode(), key=key, digest_size=16).digest()

    return sorted(arms, key=drawn)
