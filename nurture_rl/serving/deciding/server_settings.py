"""How a server reads the clock and treats contacts without a zone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from nurture_rl.errors import NurtureError

EVERYWHERE = (-12, 14)  # hours: covers every zone on earth, for any default zone


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server reads the clock and treats contacts without a zone."""

    default_zone: str
    simulated_clock: bool  # requests may say what time it is
    clock: Callable[[], int]  # microseconds since 1970 UTC
    seed: int | None = None  # None: the store's own
    # Hours by which an unknown zone may differ from the default zone, lowest and highest. The
    # journey's own figure belongs to its author's zone, which may be another one.
    unknown_zone_slack: tuple[int, int] = EVERYWHERE
    public_url: str | None = None  # where contacts reach it; None: sends carry no headers

    def __post_init__(self) -> None:
        low, high = self.unknown_zone_slack
        if not low <= 0 <= high:
            raise NurtureError(
                f"expected unknown_zone_slack as hours back (<= 0) and ahead (>= 0), got {low} "
                f"and {high}; give -1 6 for zones from one hour behind the default zone's to six "
                "ahead"
            )


def machine_clock() -> int:
    """This machine's clock, microseconds since 1970 UTC."""
    return time.time_ns() // 1000
