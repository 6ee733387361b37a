"""Mails that Postfix took, by Message-ID, and since when its logs tell of them."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

from nurture_rl.errors import DeliveryError

# Postfix names the Message-ID as soon as it reads the header, and the queue's manager only when the
# whole mail is on disk: both together say that it was taken.
_READ = re.compile(r"/cleanup\[\d+\]: ([0-9A-Za-z]+): message-id=<([^<>\s]*)>")
_TAKEN = re.compile(r"/qmgr\[\d+\]: ([0-9A-Za-z]+): from=<")
_NUMBERED = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ")
_NAMED = re.compile(r"^([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d) ")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LoggedMails:
    """What logs say."""

    taken: frozenset[str]  # Message-IDs, without brackets
    since_us: int  # nothing of mails before, microseconds since 1970 UTC; 0: there are no logs


def read_logs(paths: Sequence[Path]) -> LoggedMails:
    """Read logs as one, in the order in which they begin.

    Args:
        paths: of the logs, perhaps compressed by gzip.

    Raises:
        DeliveryError: one is no log of Postfix, or its first line has no time that can be read.
        OSError: one cannot be read.
    """
    named: dict[str, str] = {}
    taken, begun = set[str](), sorted((_begins_us(path), path) for path in paths)
    for _, path in begun:
        is_log = False
        for line in _lines(path):
            if found := _READ.search(line):
                named[found[1]] = found[2]
            elif (found := _TAKEN.search(line)) and (name := named.pop(found[1], None)):
                taken.add(name)
            is_log = is_log or found is not None
        if not is_log:
            raise DeliveryError(
                f"{path}: expected Postfix's log, a maildir or an mbox, got no line of Postfix's "
                "cleanup or qmgr; give another file"
            )
    return LoggedMails(frozenset(taken), begun[0][0] if begun else 0)


def _lines(path: Path) -> Iterator[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="replace") as file:
            yield from file
    except (EOFError, zlib.error) as error:
        raise DeliveryError(f"{path}: {error}; give the whole file") from error


def _begins_us(path: Path) -> int:
    """The moment of a log's first line, microseconds since 1970 UTC."""
    first = next(chain(_lines(path), [""]))
    if found := _NUMBERED.match(first):
        at = datetime.fromisoformat(found[1])
    elif (found := _NAMED.match(first)) and found[1] in _MONTHS:
        at = _latest(_MONTHS.index(found[1]) + 1, found[2], found[3])
    else:
        raise DeliveryError(
            f"{path}: expected Postfix's log, each line with its time, as in `Nov 30 10:00:00` or "
            f"2026-11-30T10:00:00+01:00, or a maildir or an mbox, got {first[:80]!r}"
        )
    return (at - _EPOCH) // timedelta(microseconds=1)


def _latest(month: int, day: str, clock: str) -> datetime:
    """The latest such moment of this machine's clock that is not to come; logs leave out years.

    Of an hour that comes twice it is the second time: a log says nothing of what was before it.
    """
    now = datetime.now().astimezone()
    for year in (now.year + 1, now.year, *range(now.year - 1, now.year - 9, -1)):
        try:
            said = datetime.fromisoformat(f"{year}-{month:02}-{int(day):02}T{clock}")
        except ValueError:  # the 29th of February
            continue
        at = max(said.astimezone(UTC), said.replace(fold=1).astimezone(UTC))
        if at <= now + timedelta(days=1):
            return at
    return now
