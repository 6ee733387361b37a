"""Where a mail shows that it was taken: by its Message-ID, or by the key of its delivery."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nurture_rl.delivery.postfix_logs import read_logs
from nurture_rl.errors import DeliveryError

_MOST_HEADER = 1 << 18  # bytes of a mail that are searched
_ID = re.compile(
    rb"^(?:Message-ID:\s*<([^<>\s]+)>|X-Nurture-Delivery:\s*(\S+))", re.IGNORECASE | re.MULTILINE
)
# A delivery's key, wherever it stands in what a provider tells of its mails.
_KEY = re.compile(r"nurture-[0-9a-f]{32}@[A-Za-z0-9.-]+")
_EXPORT = ".json"
_IN_MAILS = "@listmonk."  # keys that stand in a header of the mail
_LOOKS = 5  # at a maildir that is changed


@dataclass(frozen=True, slots=True)
class MailTraces:
    """What some places say of mails."""

    # Message-IDs, without brackets, and keys of deliveries whose mails were taken.
    taken: frozenset[str]
    # Without mailboxes: nothing is said of mails that were sent by SMTP before this moment,
    # microseconds since 1970 UTC; 0: there are mailboxes.
    since_us: int
    kinds: frozenset[Literal["mailbox", "log", "export"]]  # of the places

    def would_tell(self, place: str, at_us: int) -> bool:
        """Whether the places, where they are complete, would hold a mail.

        Args:
            place: its Message-ID, or the key of its delivery.
            at_us: when it was sent, microseconds since 1970 UTC.
        """
        if _KEY.fullmatch(place):
            return "export" in self.kinds or (_IN_MAILS in place and "mailbox" in self.kinds)
        return bool(self.kinds & {"mailbox", "log"}) and at_us >= self.since_us


def traces(paths: Sequence[Path]) -> MailTraces:
    """Look for mails in all of some places together.

    Args:
        paths: maildirs, mbox files, logs of Postfix (perhaps compressed by gzip), and what
            providers tell of the mails that they sent (.json), in any order: a log that was rotated
            in between names a mail in one file and takes it in the next.

    Raises:
        DeliveryError: one is none of these, or cannot be read.
    """
    taken, logs = set[str](), list[Path]()
    kinds = set[Literal["mailbox", "log", "export"]]()
    for path in paths:
        try:
            if path.is_dir():
                if not (path / "new").is_dir():
                    raise DeliveryError(f"{path}: expected a maildir, got a folder without `new`")
                taken |= _maildir(path)
                kinds.add("mailbox")
                continue
            if path.suffix == _EXPORT:
                taken.update(_KEY.findall(json.dumps(_sent(json.loads(path.read_bytes())))))
                kinds.add("export")
                continue
            with path.open("rb") as file:
                first = file.read(5)
            if first == b"From ":
                taken.update(_mbox(path))
                kinds.add("mailbox")
            else:
                logs.append(path)
                kinds.add("log")
        except (OSError, ValueError, RecursionError) as error:
            raise DeliveryError(
                f"{path}: {error}; give a log, a maildir, an mbox or JSON"
            ) from error
    found = read_logs(logs)
    since_us = 0 if "mailbox" in kinds else found.since_us
    return MailTraces(frozenset(taken | found.taken), since_us, frozenset(kinds))


def _sent(told: Any) -> Any:
    """What an export tells, without mails that the provider says it failed to send.

    Mautic's `is_failed` is 0 or 1, as a number or a text.
    """
    if isinstance(told, list):
        return [_sent(one) for one in told]
    if isinstance(told, dict):
        failed = str(told.get("is_failed", 0)).lower() in ("1", "true")
        return None if failed else {name: _sent(one) for name, one in told.items()}
    return told


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
