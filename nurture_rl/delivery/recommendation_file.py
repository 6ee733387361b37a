"""Recommendations for another system: a file with a row per contact, whole or not there."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.delivery.planned_sends import utc_text
from nurture_rl.delivery.rendering import RenderedMail
from nurture_rl.errors import DeliveryError
from nurture_rl.logs.atomic import sync
from nurture_rl.logs.schema import UTC_TIME

ONE_CLICK = "List-Unsubscribe=One-Click"
# What a file that is none of ours comes to; Arrow's errors are ValueErrors.
_UNREADABLE = (OSError, ValueError, KeyError, AttributeError, RecursionError)
_TYPE, _SOURCE = "nurture.send", "urn:nurture:journey:"
_SCHEMA = pa.schema(
    [
        pa.field("decision_id", pa.string(), nullable=False),
        pa.field("contact_id", pa.string(), nullable=False),
        pa.field("email", pa.string(), nullable=False),
        pa.field("journey", pa.string(), nullable=False),
        pa.field("template_id", pa.string(), nullable=False),  # the message of the journey
        pa.field("template_digest", pa.string(), nullable=False),  # which wording of it
        pa.field("blocks", pa.list_(pa.string()), nullable=False),
        pa.field("send_at", UTC_TIME, nullable=False),
        pa.field("send_at_local", pa.string()),
        pa.field("time_zone", pa.string()),
        pa.field("fields", pa.string(), nullable=False),  # merge fields, a JSON object
        pa.field("list_unsubscribe", pa.string()),
        pa.field("list_unsubscribe_post", pa.string()),
    ]
)


def rows_of(mails: Sequence[RenderedMail]) -> list[dict[str, Any]]:
    """A row per mail, with `send_at` in ISO 8601 and `fields` as an object."""
    return [
        {
            "decision_id": mail.plan.decision_id,
            "contact_id": mail.plan.contact_id,
            "email": mail.recipient.address,
            "journey": mail.plan.journey,
            "template_id": mail.plan.message,
            "template_digest": mail.template.digest,
            "blocks": list(mail.template.message.blocks),
            "send_at": utc_text(mail.plan.send_at_us),
            "send_at_local": mail.plan.send_at_local,
            "time_zone": mail.plan.time_zone,
            "fields": dict(mail.fields),
            "list_unsubscribe": mail.plan.list_unsubscribe,
            "list_unsubscribe_post": None if mail.plan.list_unsubscribe is None else ONE_CLICK,
        }
        for mail in mails
    ]


def file_content(rows: Sequence[Mapping[str, Any]], suffix: str) -> bytes:
    """The rows as CSV, JSON Lines or Parquet.

    Args:
        rows: as of `rows_of`.
        suffix: of the file's name.
    """
    if suffix == ".jsonl":
        return _lines(rows)
    flat = [{**row, "fields": json.dumps(row["fields"], ensure_ascii=False)} for row in rows]
    if suffix == ".parquet":
        timed = [{**row, "send_at": _moment(row["send_at"])} for row in flat]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(timed, schema=_SCHEMA), sink, compression="zstd")
        return bytes(sink.getvalue())
    text = io.StringIO()
    writer = csv.DictWriter(text, _SCHEMA.names, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({**row, "blocks": " ".join(row["blocks"])} for row in flat)
    return text.getvalue().encode()


def cloud_events(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as CloudEvents 1.0, structured JSON, one a line.

    `source` and `id`, the journey and the decision, are the same however often a row is written:
    whoever takes the events carries out each pair once.
    """
    return _lines([cloud_event(row) for row in rows])


def cloud_event(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as one event, in structured form."""
    return {
        "specversion": "1.0",
        "id": row["decision_id"],
        "source": f"{_SOURCE}{quote(row['journey'], safe='')}",
        "type": _TYPE,
        "subject": row["contact_id"],
        "time": row["send_at"],
        "datacontenttype": "application/json",
        "data": dict(row),
    }


@dataclass(frozen=True, slots=True)
class HandOver:
    """A file that appears whole, and of which it can be told afterwards whether it did."""

    out: Path

    def write(self, content: bytes, appears: Callable[[], None]) -> None:
        """Make the file.

        Args:
            content: of the file.
            appears: called when all is on disk under another name, before the file is at its place.

        Raises:
            DeliveryError: something is at its place, or another run makes it now.
            OSError: the disk refuses.
        """
        partial = _partial(self.out)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with self._alone(partial) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            sync(self.out.parent)
            if self.out.exists():
                raise DeliveryError(f"expected nothing at {self.out}; give another path")
            appears()
            partial.rename(self.out)
        sync(self.out.parent)

    @contextmanager
    def _alone(self, partial: Path) -> Iterator[BinaryIO]:
        """An empty file that no other run writes: else one would show what is not its own."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(partial, flags, 0o600), "wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_same = os.path.samestat(os.fstat(file.fileno()), partial.stat())
            except (BlockingIOError, FileNotFoundError):
                is_same = False  # it was renamed as this one was about to lock it
            if not is_same:
                raise DeliveryError(
                    f"expected that nobody else makes {self.out}, but another run does: wait for "
                    "it, or give another path"
                )
            file.truncate(0)
            yield file

    def show(self, content: bytes) -> None:
        """Make the file for somebody to look at: nothing is handed over.

        Raises:
            DeliveryError: a run was cut off before its file was at this place. With another one
                there its rows would seem to have been handed over.
            OSError: the disk refuses.
        """
        if _partial(self.out).exists():
            raise DeliveryError(
                f"expected no trace of a run at {self.out}, but one was cut off there; run it "
                "without dry_run, or give another path"
            )
        self.write(content, lambda: None)


def is_file(place: str) -> bool:
    """Whether a ledger's place is a file; else it is a Message-ID or a delivery's key."""
    return place.startswith("/")


def appeared(place: str) -> Literal["accepted", "planned", "unknown"]:
    """What became of a file that was cut off.

    Returns:
        accepted: it is there. planned: it still lies under its other name, so nobody had it.
        unknown: neither is there, so somebody may have taken it away.
    """
    if Path(place).exists():
        return "accepted"
    return "planned" if _partial(Path(place)).exists() else "unknown"


def decisions_in(path: Path) -> set[str]:
    """The decisions of a file that was made here, wherever it lies now.

    Raises:
        DeliveryError: it cannot be read as such a file.
    """
    try:
        if path.suffix == ".parquet":
            return set(pq.read_table(path, columns=["decision_id"])["decision_id"].to_pylist())
        text = path.read_text("utf-8")
        if path.suffix == ".csv":
            return {row["decision_id"] for row in csv.DictReader(io.StringIO(text, newline=""))}
        rows = [json.loads(line) for line in text.splitlines()]
        return {row.get("data", row)["decision_id"] for row in rows}
    except _UNREADABLE as error:
        raise DeliveryError(
            f"{path}: expected a file of `nurture deliver`, got: {error}"
        ) from error


def _partial(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial")


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return text.encode()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
