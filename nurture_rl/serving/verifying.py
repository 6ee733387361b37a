"""The verb `verify`: is what was decided still as it was logged, in a store or in its export?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nurture_rl.errors import ConfigError
from nurture_rl.progress import PROGRESS, shown_progress
from nurture_rl.serving.chain_walk import Head, Walk
from nurture_rl.serving.databases import Location
from nurture_rl.serving.exported_chain import verify_export
from nurture_rl.serving.reading import StoreReader
from nurture_rl.serving.store_errors import StoreUnavailable
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

_BROKEN = 3  # exit code where something is not as it was logged


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What to look through."""

    store: str | None = None  # a server's store; the server may be running
    log: str | None = None  # or a folder that `nurture export_log` wrote, as parquet
    # The head that an earlier `nurture verify` printed: shows whether the end was cut off, or all
    # of it was made anew.
    head: str | None = None


def verify(options: VerifyOptions) -> VerbResult:
    """The verb `verify`; its exit code is `_BROKEN` where something is not as it was logged.

    Raises:
        NurtureError: there is no store or export, or the head is none.
    """
    noted = None if options.head is None else Head.parse(options.head)
    if (options.store is None) == (options.log is None):
        raise ConfigError("expected a store or a log; write store=... or log=...")
    with shown_progress("verify"):
        if options.store is not None:
            walk = verify_store(options.store, noted)
        else:
            walk = verify_export(Path(str(options.log)), noted)
    for place in walk.broken_places:
        print(place)
    seen = walk.seen
    print(
        f"{counted(seen['decision'], 'decision')}, {seen['erased decisions']} erased, "
        + ("all as logged" if not walk.broken else f"{counted(walk.broken, 'broken place')}")
        + f"; head {walk.head}"
    )
    made = {
        "decisions": seen["decision"],
        "erased": seen["erased decisions"],
        "broken": walk.broken,
        "broken_places": walk.broken_places,
        "head": str(walk.head),
    }
    return VerbResult(made, _BROKEN if walk.broken else 0)


def verify_store(location: Location, noted: Head | None = None) -> Walk:
    """Hold the rows of a store against its chain, as of one moment; servers may write meanwhile.

    Raises:
        StoreError: there is no store of this version.
    """
    with closing(StoreReader(location)) as store:
        return walked(store, noted)


def walked(store: StoreReader, noted: Head | None = None) -> Walk:
    """As `verify_store`, of a store that is open."""
    walk = Walk(noted)
    walk.seed = store.seed
    try:
        for block in store.chained():
            for entry, row in block:
                walk.follow(entry, row)
            PROGRESS.info("%d entries followed", walk.head.number if walk.head else 0)
        for kind, name in store.unchained():
            walk.breaks(f"{kind} {name}", "no entry of the chain vouches for it")
    except StoreUnavailable as error:
        walk.breaks(store.location_name, f"it cannot be read: {error}")
    walk.end()
    return walk
