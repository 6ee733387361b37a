"""Made-up times are for rehearsals: on this machine alone, in a store of their own."""

from __future__ import annotations

import ipaddress

from nurture_rl.errors import NurtureError
from nurture_rl.serving.store import Store
from nurture_rl.serving.store_errors import StoreError

_MARK = "machine's clock"  # in a store that is more than a rehearsal


def require_rehearsal(host: str) -> None:
    """Refuse a simulated clock where others than this machine could set it.

    Args:
        host: the address that is bound.

    Raises:
        NurtureError: it is not this machine's alone.
    """
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise NurtureError(
            f"a server on {host} can be reached from other machines, and simulated_clock lets "
            "requests say what time it is; leave it out, or give host=127.0.0.1 for a rehearsal"
        )


def keep_to_clock(store: Store, simulated: bool) -> None:
    """Remember that a store lives by the machine's clock; such a one is for no rehearsal.

    Args:
        store: where people are about to be decided for.
        simulated: whether requests say what time it is.

    Raises:
        StoreError: they do, and the store has lived by the machine's clock.
        StoreUnavailable: the store cannot be read or written.
    """
    if not simulated:
        store.remember(_MARK)
    elif store.remembers(_MARK):
        raise StoreError(
            "expected a store for rehearsals, where requests say what time it is, got one that "
            "lived by this machine's clock: made-up times would get around its caps; leave "
            "simulated_clock (or at) out, or give another store"
        )
