"""How many of the contacts may be written to at all, by a sample of them."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from nurture_envs.guardrails import reason_names
from nurture_rl.serving.contacts.mail_permission import permission_of
from nurture_rl.serving.deciding.reason_words import REASON_WORDS
from nurture_rl.serving.storage.reading import StoreReader

_MOST = 2_000  # contacts that are looked at
_AT_A_TIME = 200


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom mail may reach now, whatever the journey."""

    contacts: int  # in the store
    looked_at: int  # a sample that their ids alone choose; all where they are few
    reachable: int  # of these
    against: dict[str, int]  # of these, by what stands against mail, in words; may be several


def reach(store: StoreReader, now_us: int) -> Reach:
    """Look at some contacts.

    Args:
        store: read beside the work.
        now_us: the moment, microseconds since 1970 UTC.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    total, chosen = 0, list[tuple[int, str]]()
    for block in store.names():
        total += len(block)
        chosen = heapq.nsmallest(_MOST, [*chosen, *((_hash(name), name) for name in block)])
    names = [name for _, name in chosen]
    free, against = 0, Counter[str]()
    for bits in _against(store, names, now_us):
        free += not bits
        against.update(REASON_WORDS[name] for name in reason_names(bits))
    return Reach(total, len(names), free, dict(against.most_common()))


def _against(store: StoreReader, names: list[str], now_us: int) -> Iterator[int]:
    for start in range(0, len(names), _AT_A_TIME):
        some = names[start : start + _AT_A_TIME]
        contacts, events = store.contacts(some), store.events(some)
        for key, contact in contacts.items():
            permission = permission_of(events.get(key, ()))
            yield permission.against(contact.consent, now_us)


def _hash(name: str) -> int:
    return int.from_bytes(
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    )
