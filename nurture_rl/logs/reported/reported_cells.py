"""Cells of reports: times, words, links and ids as our tables have them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from nurture_rl.logs.reported.report_format import ReportedEvent, Row

LONGEST = 500  # characters of a text that is kept beside an event
# A mail program's privacy proxy says no more than this when it loads pictures before anybody reads.
PREFETCHING = "mozilla/5.0"  # in small letters
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS = re.compile(r"[0-9]{1,17}(\.[0-9]+)?")


def given(cells: Mapping[str, Any]) -> Row:
    """The cells that say something."""
    return {name: cell for name, cell in cells.items() if cell is not None}


def plain_word(word: Any) -> str:
    """A word in small letters without the spaces around it; of anything else nothing."""
    return word.strip().lower() if isinstance(word, str) else ""


def inside(row: Row, name: str) -> Row:
    """An object in a row; what is no object is an empty one."""
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def argument(name: str, *places: Mapping[str, Any]) -> Any:
    """The first cell of this name that says something; a number is its text."""
    for place in places:
        value = place.get(name)
        if value is not None and value != "":
            number = isinstance(value, int) and not isinstance(value, bool)
            return str(value) if number else value
    return None


def text_of(cell: Any) -> str | None:
    """A cell that is a text."""
    return cell if isinstance(cell, str) and cell else None


def moment(stamp: Any, per_second: int = 1) -> Any:
    """A count since 1970 as ISO-8601; anything else as it is.

    Args:
        stamp: the cell.
        per_second: units of the count in a second, such as 1000.
    """
    if isinstance(stamp, str) and _SECONDS.fullmatch(stamp):
        stamp = float(stamp) if "." in stamp else int(stamp)
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        return stamp
    try:
        whole, rest = divmod(stamp, per_second)
        return (_EPOCH + timedelta(seconds=whole, microseconds=rest * 1e6 / per_second)).isoformat()
    except (OverflowError, ValueError):
        return stamp


def link(url: Any) -> str | None:
    """A link without query and fragment, which may name people."""
    return re.split(r"[?#]", url, maxsplit=1)[0][:LONGEST] if isinstance(url, str) else None


def is_prefetched(agent: Any) -> bool:
    """Whether a program that loads pictures before anybody reads says that it opened a mail."""
    return plain_word(agent) == PREFETCHING


def own_id(source: str, name: Any) -> Any:
    """A sender's id of an event, told apart from those of other sources."""
    name = argument("id", {"id": name})
    return f"{source}:{name}" if isinstance(name, str) else None


def made_id(source: str, parts: Iterable[Any]) -> str:
    """An id made of what is the same in every delivery of an event.

    Args:
        source: the sender's name.
        parts: what tells its events apart.
    """
    content = "\x1f".join(repr(part) for part in parts)
    digest = hashlib.blake2b(content.encode("utf-8", "replace"), digest_size=16)
    return f"{source}:{digest.hexdigest()}"


def told(cells: Mapping[str, Any]) -> Row:
    """Properties: the texts and numbers among cells, as texts that are not too long."""
    return {
        name: str(cell)[:LONGEST]
        for name, cell in cells.items()
        if isinstance(cell, str | int | float) and cell != ""
    }


def with_listed(event: ReportedEvent, said: str | None) -> list[ReportedEvent]:
    """An event, and a second one for what a list of the sender's forbids.

    No mail went by it: the second names neither decision nor mail.

    Args:
        event: a mail that was dropped.
        said: the type of the second event; None: there is none.
    """
    if said is None:
        return [event]
    of_mail = ("decision_id", "message_id", "topic")
    cells = {name: cell for name, cell in event.cells.items() if name not in of_mail}
    name = {"event_id": f"{cells['event_id']}:list"} if "event_id" in cells else {}
    return [event, ReportedEvent({**cells, **name, "type": said}, event.recipient, event.keys)]
