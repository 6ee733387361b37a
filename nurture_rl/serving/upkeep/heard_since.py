"""Words against mail that a store heard after its backup, for the copy that takes its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.records import Event
from nurture_rl.serving.storage.databases import Location, ReadableDatabase
from nurture_rl.serving.storage.locating import open_for_reading
from nurture_rl.serving.storage.rows import event_of
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.storage.table_reading import columns_of
from nurture_rl.serving.store_errors import StoreError, StoreUnavailable

_BLOCK = 10_000  # rows read at a time


def hear_again(copy: Path, store: Location) -> int:
    """Tell an older copy of a store what was said against mail since.

    Consent that was taken back since is gone there, too; consent that was given since is not told,
    for whoever restores may do it because of what came since.

    Returns:
        How many words the copy did not know; 0 where the store cannot be read.
    """
    try:
        with closing(open_for_reading(store)) as source:
            words = list(_words(source))
            asked = "SELECT contact_id FROM contacts WHERE consent = 0"
            gone = [key for (key,) in source.read(asked)]
    except (StoreError, StoreUnavailable, ValueError):  # of another version, or broken
        return 0
    added = 0
    with closing(Store(copy)) as restored:
        for start in range(0, len(words), _BLOCK):
            added += restored.append_events(words[start : start + _BLOCK])
        restored.add_loaded((), gone)
    return added


def _words(source: ReadableDatabase) -> Iterator[Event]:
    """The words against mail in a store, in the order in which they were acknowledged."""
    asked = f"SELECT {columns_of('events')} FROM events ORDER BY rowid"
    with source.blocks(asked, _BLOCK) as blocks:
        for block in blocks:
            for event in map(event_of, block):
                if forbids(say_of(event.type, event.reply_class)):
                    yield event
