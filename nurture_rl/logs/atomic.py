"""Files and folders that are either whole or not there: write beside, sync, then rename."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nurture_rl.errors import ConfigError

MADE = "[!.]*"  # of a glob: names that are whole, and not those that a killed process left


def atomic_write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part.

    Raises:
        OSError: the disk refuses; `path` is then as it was.
    """
    with atomic_file(path) as partial:
        partial.write_bytes(data)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give an empty file to fill; it becomes `path` only when the block ends without an error.

    Raises:
        OSError: the disk refuses; `path` is then as it was.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        sync(partial)
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `path` only when the block ends without an error.

    An older folder at `path` stays whole until then and is replaced. After an error the partial
    folder is removed and `path` is as it was. A killed process leaves at most a hidden sibling
    ending in `.partial`.

    Raises:
        OSError: the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        partial.chmod(0o777 & ~_umask())
        yield partial
        _sync_tree(partial)
        _rename_over(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync(path.parent)


def require_apart(out: Path, source: Path) -> None:
    """Refuse to replace what is read.

    Raises:
        ConfigError: the folder to make is the one that is read, or one around it.
    """
    if source.resolve().is_relative_to(out.resolve()):
        raise ConfigError(
            f"out: expected a folder apart from what is read, got {out}, which would replace "
            f"{source}; give another one"
        )


def _rename_over(partial: Path, path: Path) -> None:
    """Put `partial` in the place of `path`; a folder cannot be renamed onto a full one."""
    if not path.exists():
        partial.rename(path)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".retired", dir=path.parent))
    path.rename(retired / "old")
    try:
        partial.rename(path)
    except BaseException:
        (retired / "old").rename(path)
        raise
    finally:
        shutil.rmtree(retired, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent) / name)
        sync(Path(parent))


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's umask: `mkstemp` and `mkdtemp` ignore it and give access to the owner only."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
