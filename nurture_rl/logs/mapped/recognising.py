"""Which known formats the rows of a file are of, told by reading some of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from nurture_rl.logs.mapped.format_rows import values_of
from nurture_rl.logs.mapped.looking import FileLook
from nurture_rl.logs.mapped.mapping_file import FileMapping
from nurture_rl.logs.quarantine import BadLine
from nurture_rl.logs.reported.known_formats import FORMATS
from nurture_rl.logs.reported.report_format import ReportFormat, UntranslatedRow
from nurture_rl.wording import counted

LOOKED_AT = 300  # lines of a file
LEAST = 0.5  # share of the rows that say something in a format of the file
_SHOWN = 3  # kinds of row that are told
# Formats whose rows could be of a file of anybody's, and the columns that theirs alone have.
_OWN_COLUMNS = {
    "sendgrid": {"sg_event_id", "sg_message_id"},
    "hubspot_email": {"emailCampaignId", "portalId", "sentBy", "filteredEvent", "appId"},
    "listmonk": {"uuid", "subscriber_uuid", "subscriber_id", "attribs", "lists"},
    "ga4": {"user_pseudo_id", "client_id", "event_params"},
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """A format that rows of a file may be of."""

    name: str
    rows: int  # that were looked at
    read: int  # of them, say something in the format
    kinds: Mapping[str, int]  # what those say: types of events, and `contact`
    stages: tuple[str, ...]  # words for stages, in order of their frequency
    by_own_columns: bool  # whether rows have columns that no other file has by chance

    def told(self) -> str:
        """Why, in words."""
        most = sorted(self.kinds.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN]
        kinds = ", ".join(f"{count} {kind}" for kind, count in most)
        return f"{self.read} of {counted(self.rows, 'row')} read as {self.name} ({kinds})"


def tried_formats(look: FileLook) -> list[Recognised]:
    """What a file's first rows say in each known format, the best first.

    A row says something where it gives an event with a moment and somebody whom it is about, or a
    contact.

    Args:
        look: the file; its encoding and separator.

    Raises:
        LogError: the file cannot be read.
    """
    plain = FileMapping(
        path=look.path,
        file=look.path.name,
        encoding=look.encoding,
        separator=look.separator,
        decimal=".",
        times="iso",
        zone="UTC",
        tables=(),
    )
    values = [value for _, value in islice(values_of(plain, look.path), LOOKED_AT)]
    found = [_tried(known, values) for known in FORMATS.values()]
    return sorted(found, key=lambda one: (-one.read / max(1, one.rows), one.name))


def _tried(known: ReportFormat, values: Iterable[Any]) -> Recognised:
    rows = [row for value in values for row in _rows_in(known, value)]
    kinds: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    read = 0
    for row in rows:
        said = _said(known, row)
        read += bool(said)
        kinds.update(kind for kind, _ in said)
        stages.update(stage for _, stage in said if stage is not None)
    ordered = tuple(word for word, _ in stages.most_common())
    named = {name for row in rows if isinstance(row, dict) for name in row}
    own = _OWN_COLUMNS.get(known.name)
    sure = own is None or bool(own & named)
    return Recognised(known.name, len(rows), read, kinds, ordered, sure)


def _rows_in(known: ReportFormat, value: Any) -> list[Any]:
    if isinstance(value, BadLine) or not isinstance(value, dict):
        return value if isinstance(value, list) else [value]
    try:
        return known.unwrap(value)
    except UntranslatedRow:
        return [value]


def _said(known: ReportFormat, row: Any) -> list[tuple[str, str | None]]:
    """Kind and stage of what a row says."""
    if not isinstance(row, dict):
        return []
    try:
        contacts, events = known.contacts(row), known.events(row)
    except UntranslatedRow:
        return []
    said: list[tuple[str, str | None]] = [("contact", None) for _ in contacts]
    for event in events:
        who = event.cells.get("contact_id") or event.recipient or event.keys
        if who and event.cells.get("occurred_at") is not None:
            stage = event.cells.get("stage")
            said.append((str(event.cells.get("type")), stage if isinstance(stage, str) else None))
    return said
