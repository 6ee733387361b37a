"""All servers of a store serve the same journeys; else one ends what another's contacts are in."""

from __future__ import annotations

from collections.abc import Sequence

from nurture_envs.clock import HOUR_US
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError


def require_same_journeys(store: Store, journeys: Sequence[str]) -> None:
    """Be seen to serve journeys, and refuse where another server of the store has others.

    Args:
        store: that is about to be served.
        journeys: their names.

    Raises:
        StoreError: another server that runs now serves others.
        StoreUnavailable: the store cannot be asked.
    """
    own = ", ".join(sorted(journeys))
    if others := store.served_beside(own):
        raise StoreError(
            f"expected the journeys that the other servers of this store have, {others[0]!r}, got "
            f"{own!r}: one server would end the episodes of the other's journeys; give all the "
            "same `journeys`, or stop the others first"
        )


def left_out(store: Store, journeys: Sequence[str], now_us: int) -> str | None:
    """What becomes of contacts who are in journeys that are not served; None: there are none.

    Args:
        store: that is about to be served.
        journeys: that are served, by name.
        now_us: the moment, microseconds since 1970 UTC.
    """
    earliest_us = now_us - 12 * HOUR_US  # local time somewhere on earth
    missing = sorted(store.journeys_going_on(earliest_us) - set(journeys))
    if not missing:
        return None
    return (
        f"contacts are in journeys that are not served: {', '.join(missing)}; their planned sends "
        "are withdrawn when they are asked for, and their episodes end when another begins; give "
        "bundles of them as `journeys` to go on"
    )
