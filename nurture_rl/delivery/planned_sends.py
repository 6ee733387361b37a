"""What the policy decided to send: rows of the verb `decide`, or decisions of a server by id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.client import PolicyClient, ServerRefusal
from nurture_rl.delivery.recipients import one_line, text_table
from nurture_rl.errors import DeliveryError
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.unsubscribing import contact_named
from nurture_rl.serving.upkeep.bulk_table import SENT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WAITS = ("planned", "confirmed")  # states of a decision that may still be sent
_LINK = "<https://"
_NEEDED = ("contact_id", "journey", "message", "send_at", "decision_id", "list_unsubscribe")
_LOOKED = 20  # decisions by which a server is told from a wrong one
_LONGEST = 900  # characters of a header line; RFC 5322 allows 998


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """A decision to send, as it was made; whether it may leave is asked at its hour."""

    decision_id: str
    contact_id: str
    journey: str
    message: str
    send_at_us: int  # its hour, microseconds since 1970 UTC
    send_at_local: str | None  # the same on the contact's clock, ISO 8601; None: not known
    time_zone: str | None  # IANA name of that clock
    list_unsubscribe: str | None  # the header's value, <URL>; None: the server has no public_url

    @property
    def unsubscribe_url(self) -> str:
        """Where one click unsubscribes; empty where nobody said."""
        return (self.list_unsubscribe or "")[1:-1]


@dataclass(frozen=True, slots=True)
class DecidedTable:
    """The sends of a table, and what there is nothing to send for."""

    sends: tuple[PlannedSend, ...]
    without: int  # rows whose decision sends nothing, or nothing any more
    unknown: int = 0  # rows whose decision the server does not know, as of people erased since


def read_decided(path: Path, client: PolicyClient) -> DecidedTable:
    """The sends of a table.

    Args:
        path: what `nurture decide` wrote, or a Parquet or CSV file with a column decision_id, whose
            decisions the server is asked for.
        client: of that server.

    Raises:
        DeliveryError: it cannot be read, has no such column, names a decision twice, or none that
            the server knows.
        ServerAway: the server does not answer.
    """
    unknown = 0
    if path.suffix != ".csv" and "message" in _names(path):
        found = list(_rows(path))
    else:
        ids = _ids(path)
        states = [state for name in ids if (state := _looked_up(name, client)) is not None]
        unknown = len(ids) - len(states)
        if ids and not states:
            raise _of_another(client, ids)
        found = [_planned(s["decision"]) if s["status"] in _WAITS else None for s in states]
    sends = tuple(one for one in found if one is not None)
    seen = set[str]()
    for one in sends:
        if one.decision_id in seen:
            raise DeliveryError(f"{path}: expected each decision once, got {one.decision_id} twice")
        seen.add(one.decision_id)
    return DecidedTable(sends, len(found) - len(sends), unknown)


def require_known(client: PolicyClient, ids: Sequence[str]) -> None:
    """Guard the server that is asked: another one knows none of the decisions, and all were lost.

    Args:
        client: of the server.
        ids: of decisions that are to be sent.

    Raises:
        DeliveryError: it knows none of them.
        ServerAway: it does not answer.
    """
    if ids and all(_looked_up(name, client) is None for name in ids[:_LOOKED]):
        raise _of_another(client, ids)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def utc_text(us: int) -> str:
    """ISO 8601 in UTC of microseconds since 1970."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def _names(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise DeliveryError(f"{path}: {error}; give what `nurture decide` wrote") from error


def _rows(path: Path) -> Iterable[PlannedSend | None]:
    """The rows of a table of the verb `decide`; None for each that sends nothing."""
    table = pq.read_table(path)
    if wrong := [name for name in _NEEDED if not _fits(table.schema, name)]:
        raise DeliveryError(
            f"{path}: expected the columns of `nurture decide`, got none that fits "
            f"{', '.join(wrong)}; give its table as it is, or a file with decision_id alone"
        )
    for batch in table.to_batches(10_000):
        for row in batch.to_pylist():
            if row["message"] is None:
                yield None
                continue
            local = row["send_at_local"]
            yield PlannedSend(
                _whole(row["decision_id"], path),
                _whole(row["contact_id"], path),
                _whole(row["journey"], path),
                _whole(row["message"], path),
                microseconds(row["send_at"]),
                None if local is None else local.isoformat(),
                row["time_zone"],
                _header(row["list_unsubscribe"], row["contact_id"]),
            )


def _fits(schema: pa.Schema, name: str) -> bool:
    return name in schema.names and schema.field(name).type == SENT.field(name).type


def _whole(cell: str | None, path: Path) -> str:
    if not cell:
        raise DeliveryError(f"{path}: expected a value in every row that sends, got an empty one")
    return one_line(cell, str(path))


def _header(value: str | None, contact_id: str) -> str | None:
    """The value of List-Unsubscribe, one link that a header can hold."""
    if value is None:
        return None
    fits = value.startswith(_LINK) and value.endswith(">") and len(value) <= _LONGEST
    if not fits or not value.isascii() or any(sign in value[1:-1] for sign in '<> ",'):
        raise DeliveryError(
            f"contact {contact_id!r}: expected List-Unsubscribe as <https://...> of at most "
            f"{_LONGEST} characters, got {value!r}"
        )
    if contact_named(value[1:-1]) != contact_key(contact_id):
        raise DeliveryError(
            f"contact {contact_id!r}: expected a link by which they leave themselves, got another "
            "contact's or none of this server's; give the table as it was decided"
        )
    return one_line(value, f"contact {contact_id!r}, List-Unsubscribe")


def _ids(path: Path) -> list[str]:
    table = text_table(path)
    if "decision_id" not in table.column_names:
        raise DeliveryError(
            f"{path}: expected what `nurture decide` wrote, or a column decision_id, got "
            f"{', '.join(table.column_names)}"
        )
    return [_whole(name, path) for name in table["decision_id"].to_pylist()]


def _looked_up(decision_id: str, client: PolicyClient) -> Mapping[str, Any] | None:
    """A decision and what became of it; None: the server does not know it."""
    if "/" in decision_id:  # no path has it: the server would seem not to know it
        raise DeliveryError(
            f"decision {decision_id!r}: expected an id without a slash, since no path of the "
            "policy server takes one; nothing was sent: give request_ids without it"
        )
    try:
        return client.decision(decision_id)
    except ServerRefusal as error:
        if error.status != 404:
            raise
        return None


def _of_another(client: PolicyClient, ids: Sequence[str]) -> DeliveryError:
    return DeliveryError(
        f"expected decisions of the server {client.url}, which knows none of "
        f"{', '.join(map(repr, ids[:5]))}; nothing was sent: give the server that decided"
    )


def _planned(row: Mapping[str, Any]) -> PlannedSend:
    routing, _, rest = row["action"].partition(":")
    if routing != "send":  # the server says planned of sends alone
        raise DeliveryError(f"decision {row['decision_id']}: expected a send, got {row['action']}")
    header = row["headers"].get("List-Unsubscribe")
    return PlannedSend(
        row["decision_id"],
        row["contact_id"],
        row["journey"],
        rest.rpartition("@")[0],
        microseconds(datetime.fromisoformat(row["scheduled_at"])),
        None,
        None,
        _header(header, row["contact_id"]),
    )
