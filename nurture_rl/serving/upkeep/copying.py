"""The verbs `backup` and `restore`: whole, checked copies of a store."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nurture_rl.errors import LogError
from nurture_rl.logs.atomic import sync
from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.chain_walk import Walk
from nurture_rl.serving.storage.databases import Location
from nurture_rl.serving.storage.locating import is_url, require_there, shown_location
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.store_errors import StoreError
from nurture_rl.serving.upkeep.erasing import erase_again
from nurture_rl.serving.upkeep.heard_since import hear_again
from nurture_rl.serving.upkeep.verifying import verify_store
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

_BESIDE = ("", "-wal", "-shm")  # a store's file and those that SQLite keeps beside it


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """What is copied, and where to."""

    store: str  # a server's store, by path or URL; servers may be running
    out: str  # file to make; nothing may lie there


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """Which copy takes a store's place."""

    backup: str  # a file that `nurture backup` made
    # Path of the store, on which no server may be running; or URL of a PostgreSQL database without
    # one.
    store: str
    # Another store, such as the one that was lost: who was erased there is erased again, and what
    # was said against mail there is heard again.
    erased_in: str | None = None
    # Let the copy take the place of a store that is there; that one is kept beside it, as
    # NAME.replaced-TIME.
    replace: bool = False


def backup(options: BackupOptions) -> VerbResult:
    """The verb `backup`.

    Raises:
        NurtureError: there is no store, something lies at `out`, or the store is broken.
        OSError: the disk refuses.
    """
    require_there(options.store)
    store, out = _located(options.store), Path(options.out)
    lying = [path for path in _files_of(out) if path.exists() or path.is_symlink()]
    if lying:
        raise StoreError(f"expected nothing at {lying[0]}; it stays as it is: give another path")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _checked_copy(store, out) as (partial, walk):
        _name(partial, out)
    decisions, head = walk.seen["decision"], str(walk.head)
    print(f"{counted(decisions, 'decision')} backed up to {out}, all as logged; head {head}")
    return VerbResult({"out": str(out), "decisions": decisions, "head": head})


def restore(options: RestoreOptions) -> VerbResult:
    """The verb `restore`.

    Raises:
        NurtureError: there is no backup, it is broken, a server has the store, or a store is there
            and `replace` does not say so.
        OSError: the disk refuses.
    """
    source = Path(options.backup)
    if not source.is_file():
        raise LogError(f"no backup at {source}; give a file that nurture backup made")
    opening.require_own(source)
    if options.erased_in is not None:
        StoreReader(_located(options.erased_in)).close()
    if is_url(options.store):
        return _restore_to_database(source, options)
    store = Path(options.store).resolve()
    store.parent.mkdir(parents=True, exist_ok=True)
    claim = opening.claim(store)
    try:
        there = store.exists()
        if there and not options.replace:
            raise StoreError(
                f"expected no store at {store}; it stays as it is: write replace=true to put the "
                "backup in its place, and keep this one beside it"
            )
        with _checked_copy(source, store) as (partial, walk):
            erased, words = _taken_along(partial, ([store] if there else []), options)
            walk = verify_store(partial) if erased else walk
            kept = _put_aside(store)
            _name(partial, store)
    finally:
        claim.release()
    return _restored(str(store), walk, (erased, words), kept)


def _restore_to_database(source: Path, options: RestoreOptions) -> VerbResult:
    from nurture_rl.serving.upkeep.postgres_copying import copy_in

    if options.replace:
        raise StoreError(
            "expected a database without a store, got replace=true with a URL: no database takes "
            "another's place; give an empty one, and servers its URL afterwards"
        )
    with (
        tempfile.TemporaryDirectory() as folder,
        _checked_copy(source, Path(folder) / "store") as (partial, walk),
    ):
        erased, words = _taken_along(partial, [], options)
        walk = verify_store(partial) if erased else walk
        copy_in(partial, options.store)
    return _restored(shown_location(options.store), walk, (erased, words), None)


def _taken_along(partial: Path, stores: list[Location], options: RestoreOptions) -> tuple[int, int]:
    """Erase and hear again what stores that were used since did: how many people, and words."""
    used = [*stores, *([] if options.erased_in is None else [_located(options.erased_in)])]
    erased = sum(erase_again(partial, one) for one in used)
    return erased, sum(hear_again(partial, one) for one in used)


def _located(store: str) -> Location:
    return store if is_url(store) else Path(store)


def _restored(store: str, walk: Walk, along: tuple[int, int], kept: Path | None) -> VerbResult:
    """Say what was done."""
    erased, words = along
    decisions, head = walk.seen["decision"], str(walk.head)
    print(f"{counted(decisions, 'decision')} restored to {store}, all as logged; head {head}")
    if erased:
        print(f"erased again, as after the backup: {counted(erased, 'contact')}")
    if words:
        print(f"heard again, as after the backup: {counted(words, 'word')} against mail")
    if kept is not None:
        print(f"what was there before is kept at {kept}")
    print(
        "what was decided, heard and erased after the backup is not known any more: tell it again"
    )
    made = {"store": store, "decisions": decisions, "head": head, "erased": erased, "words": words}
    return VerbResult({**made, "kept": None if kept is None else str(kept)})


@contextmanager
def _checked_copy(source: Location, out: Path) -> Iterator[tuple[Path, Walk]]:
    """A copy beside `out`, as of one moment: its owner's alone, on disk, whole, as logged.

    Raises:
        StoreError: the copy is broken, or of another version.
    """
    StoreReader(source).close()
    shown = shown_location(source)
    handle, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent)
    os.close(handle)  # made with mode 0600
    partial = Path(name)
    try:
        _copy(source, partial)
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
            (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise StoreError(f"expected a whole store at {shown}, got {found}; keep it, and look")
        walk = verify_store(partial)
        if walk.broken:
            raise StoreError(
                f"expected what was logged in {shown}, got {walk.broken_places[0]}; nothing was "
                "written: nurture verify names all that is broken"
            )
        sync(partial)
        yield partial, walk
    except sqlite3.Error as error:
        raise StoreError(f"{shown}: {error}; nothing was written") from error
    finally:
        for ending in (*_BESIDE, ".lock"):
            Path(f"{partial}{ending}").unlink(missing_ok=True)


def _copy(source: Location, partial: Path) -> None:
    """Copy a store into an empty file; whoever writes it goes on."""
    if not isinstance(source, Path):
        from nurture_rl.serving.upkeep.postgres_copying import copy_out

        copy_out(source, partial)
        return
    with (
        closing(opening.connect_reading(source)) as reader,
        closing(sqlite3.connect(partial, isolation_level=None)) as copy,
    ):
        reader.backup(copy)  # all in one step


def _name(partial: Path, out: Path) -> None:
    """Give a copy its name, for good."""
    sync(partial)
    partial.rename(out)
    sync(out.parent)


def _files_of(store: Path) -> list[Path]:
    """A store's file, and those beside it that SQLite would read with it, whosever they are."""
    return [Path(f"{store}{ending}") for ending in _BESIDE]


def _put_aside(store: Path) -> Path | None:
    """Move a store that nobody writes, or what is left of it, to a name of its own; None: nothing.

    SQLite would play a log that a lost file has left into whatever takes the file's place.
    """
    if not any(path.exists() for path in _files_of(store)):
        return None
    kept = store.with_name(
        f"{store.name}.replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    )
    if kept.exists():
        raise StoreError(f"expected nothing at {kept}; wait a second and try again")
    if store.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(store)) as there:
            there.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # into the one file, if it can
    for ending in reversed(_BESIDE):
        path = Path(f"{store}{ending}")
        if path.exists():
            path.rename(f"{kept}{ending}")
    return kept
