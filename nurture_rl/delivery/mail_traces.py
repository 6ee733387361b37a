"""Where a mail shows that it was taken: by its Message-ID, or by the key of its delivery."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

from nurture_rl.errors import DeliveryError

_MOST_HEADER = 1 << 18  # bytes of a mail that are searched
_ID = re.compile(
    rb"^(?:Message-ID:\s*<([^<>\s]+)>|X-Nurture-Delivery:\s*(\S+))", re.IGNORECASE | re.MULTILINE
)
# Postfix names the Message-ID as soon as it reads the header, and the queue's manager only when the
# whole mail is on disk: both together say that it was taken.
_READ = re.compile(r"/cleanup\[\d+\]: ([0-9A-Za-z]+): message-id=<([^<>\s]+)>")
# A delivery's key, wherever it stands in what a provider tells of its mails.
_KEY = re.compile(r"nurture-[0-9a-f]{32}@[A-Za-z0-9.-]+")
_EXPORT = ".json"
_TAKEN = re.compile(r"/qmgr\[\d+\]: ([0-9A-Za-z]+): from=<")


def traces(path: Path) -> set[str]:
    """The Message-IDs, without brackets, and delivery keys of mails that were taken.

    Args:
        path: a maildir, an mbox file, a log of Postfix (perhaps compressed by gzip), or what a
            provider tells of the mails that it sent, in JSON (.json), with the deliveries' keys.

    Raises:
        DeliveryError: it is none of these, or cannot be read.
    """
    try:
        if path.is_dir():
            if not (path / "new").is_dir():
                raise DeliveryError(f"{path}: expected a maildir, got a folder without `new`")
            return {name for one in _files(path) for name in _ids(_head(one))}
        if path.suffix == _EXPORT:
            return set(_KEY.findall(json.dumps(json.loads(path.read_bytes()))))
        with path.open("rb") as file:
            first = file.read(5)
        return set(_mbox(path)) if first == b"From " else _log(path)
    except (OSError, ValueError) as error:
        raise DeliveryError(f"{path}: {error}; give a log, a maildir, an mbox or JSON") from error


def _files(maildir: Path) -> Iterator[Path]:
    """The mails of a maildir and of the folders in it."""
    for folder in (maildir, *(one for one in maildir.glob(".*") if (one / "new").is_dir())):
        for part in ("new", "cur"):
            yield from (one for one in (folder / part).glob("*") if one.is_file())


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_HEADER)
    except FileNotFoundError:  # a reader moved it; it is not lost to a second look
        return b""
    return re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]


def _ids(head: bytes) -> list[str]:
    found = (one or key for one, key in _ID.findall(head))
    return [one.decode("ascii", "replace") for one in found]


def _mbox(path: Path) -> Iterator[str]:
    inside, before = False, b""
    with path.open("rb") as file:
        for line in file:
            if line.startswith(b"From ") and not before.strip():
                inside = True
            elif inside and not line.strip():
                inside = False
            elif inside:
                yield from _ids(line)
            before = line


def _log(path: Path) -> set[str]:
    named: dict[str, str] = {}
    taken, is_log = set[str](), False
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as file:
        for line in file:
            if found := _READ.search(line):
                named[found[1]] = found[2]
            elif (found := _TAKEN.search(line)) and found[1] in named:
                taken.add(named[found[1]])
            is_log = is_log or found is not None
    if not is_log:
        raise DeliveryError(
            f"{path}: expected Postfix's log, a maildir or an mbox, got no line of Postfix's "
            "cleanup or qmgr; give another file"
        )
    return taken
