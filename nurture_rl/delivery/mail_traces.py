"""Where a mail shows that a server took it: Postfix's log, a maildir, an mbox. By Message-ID."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nurture_rl.delivery.postfix_logs import read_logs
from nurture_rl.errors import DeliveryError

_MOST_HEADER = 1 << 18  # bytes of a mail that are searched
_ID = re.compile(rb"^Message-ID:\s*<([^<>\s]+)>", re.IGNORECASE | re.MULTILINE)
_LOOKS = 5  # at a maildir that is changed


@dataclass(frozen=True, slots=True)
class MailTraces:
    """What some places say of mails."""

    taken: frozenset[str]  # Message-IDs, without brackets, of mails that were taken
    # The places are logs alone, and say nothing of mails that were sent before this moment,
    # microseconds since 1970 UTC; 0: other places are among them.
    since_us: int


def traces(paths: Sequence[Path]) -> MailTraces:
    """Look for mails in all of some places together.

    Args:
        paths: maildirs, mbox files, and logs of Postfix (perhaps compressed by gzip), in any order:
            a log that was rotated in between names a mail in one file and takes it in the next.

    Raises:
        DeliveryError: one is none of these, or cannot be read.
    """
    taken, logs = set[str](), list[Path]()
    for path in paths:
        try:
            if path.is_dir():
                if not (path / "new").is_dir():
                    raise DeliveryError(f"{path}: expected a maildir, got a folder without `new`")
                taken |= _maildir(path)
                continue
            with path.open("rb") as file:
                first = file.read(5)
            if first == b"From ":
                taken.update(_mbox(path))
            else:
                logs.append(path)
        except OSError as error:
            raise DeliveryError(f"{path}: {error}; give a log, a maildir or an mbox") from error
    found = read_logs(logs)
    return MailTraces(frozenset(taken | found.taken), found.since_us if logs == [*paths] else 0)


def _maildir(path: Path) -> set[str]:
    """Looked through again where a reader moved a mail meanwhile: it may have been missed."""
    found = set[str]()
    for _ in range(_LOOKS):
        whole = True
        for one in _files(path):
            try:
                found.update(_ids(_head(one)))
            except FileNotFoundError:
                whole = False
        if whole:
            return found
    raise DeliveryError(
        f"{path}: expected a maildir that stands still for a moment, but mails of it are moved "
        "again and again; give a copy, or try again later"
    )


def _files(maildir: Path) -> Iterator[Path]:
    """The mails of a maildir and of the folders in it."""
    for folder in (maildir, *(one for one in maildir.glob(".*") if (one / "new").is_dir())):
        for part in ("new", "cur"):
            yield from (one for one in (folder / part).glob("*") if not one.is_dir())


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MOST_HEADER)
    return re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]


def _ids(head: bytes) -> list[str]:
    return [one.decode("ascii", "replace") for one in _ID.findall(head)]


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
