"""Who gets mail: the address and the merge fields of each contact, from a table of the sender's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from nurture_rl.errors import DeliveryError
from nurture_rl.serving.contacts.recipient_domains import (
    ATTRIBUTE,
    BUSINESS,
    family_of,
    plain_domain,
)
from nurture_rl.serving.names import contact_key

_OWN = ("contact_id", "email")  # columns that every table has; all others are merge fields
# Signs that end a line somewhere, or are none: a merge field or an address has none of them.
_NOT_ON_A_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_LONGEST = 254  # characters of an address, RFC 5321


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a contact's mail goes, and what is put into it."""

    address: str  # ASCII
    family: str  # who runs the mailbox: a provider, or a domain of its own
    fields: Mapping[str, str]  # merge fields by name; an empty one has no value


def read_recipients(path: Path, contact_ids: Collection[str]) -> dict[str, Recipient]:
    """The recipients of some contacts, by `contact_key`; who is not in the table is not in it.

    Args:
        path: Parquet or CSV with the columns contact_id and email; every other column is a merge
            field.
        contact_ids: whom mail is planned for.

    Raises:
        DeliveryError: it cannot be read, lacks a column, names a contact twice, or holds an address
            or a merge field that no mail can carry.
    """
    table = text_table(path)
    if missing := [name for name in _OWN if name not in table.column_names]:
        raise DeliveryError(
            f"{path}: expected the columns contact_id and email, got no {', '.join(missing)}; "
            "every other column is a merge field"
        )
    wanted = {contact_key(name) for name in contact_ids}
    names = [name for name in table.column_names if name not in _OWN]
    found: dict[str, Recipient] = {}
    for batch in table.to_batches(10_000):
        for row in batch.to_pylist():
            key = contact_key(row["contact_id"] or "")
            if key not in wanted:
                continue
            if key in found:
                raise DeliveryError(
                    f"{path}: expected a row per contact, got two of {row['contact_id']!r}; drop "
                    "one of them"
                )
            place = f"{path}: contact {row['contact_id']!r}"
            fields = {name: one_line(row[name] or "", f"{place}, field {name}") for name in names}
            address = checked_address(row["email"] or "", place)
            found[key] = Recipient(address, _family(address), fields)
    return found


def text_table(path: Path) -> pa.Table:
    """A Parquet or CSV file with every cell as text.

    Raises:
        DeliveryError: it cannot be read, or two columns have one name.
    """
    try:
        if path.suffix == ".csv":
            names = pc.open_csv(path).schema.names
            options = pc.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[],
                strings_can_be_null=False,
            )
            table = pc.read_csv(path, convert_options=options)
        else:
            table = pq.read_table(path)
            cells = [column.cast(pa.string()) for column in table.columns]
            table = pa.table(cells, names=table.column_names)
    except (pa.ArrowException, OSError) as error:
        raise DeliveryError(f"{path}: {error}; give a Parquet or CSV file") from error
    if len(set(table.column_names)) < len(table.column_names):
        raise DeliveryError(f"{path}: expected columns of different names; rename one")
    return table


def one_line(value: str, place: str) -> str:
    """A value that is one line, so that it cannot become a header or a mail of its own.

    Raises:
        DeliveryError: it holds a line's end or a control character.
    """
    if _NOT_ON_A_LINE.search(value):
        raise DeliveryError(
            f"{place}: expected one line without control characters, got {value!r}; mend the table"
        )
    return value


def checked_address(given: str, place: str) -> str:
    """An address as SMTP takes it, its domain in ASCII.

    Raises:
        DeliveryError: it is none, or has letters beyond ASCII before the @.
    """
    address = given.strip()
    local, _, domain = address.rpartition("@")
    domain = plain_domain(domain)
    plain = f"{local}@{domain}"
    if not (_LOCAL.fullmatch(local) and _DOMAIN.fullmatch(domain)) or len(plain) > _LONGEST:
        raise DeliveryError(
            f"{place}: expected an address such as ada@example.com, got {given!r}; mend it, or "
            "take the row out"
        )
    return plain


def _family(address: str) -> str:
    domain = address.rpartition("@")[2]
    family = family_of({ATTRIBUTE: domain}, {})
    return domain if family == BUSINESS else family
