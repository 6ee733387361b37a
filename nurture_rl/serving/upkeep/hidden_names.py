"""Who a person is in tables whose ids are pseudonyms, for whoever has the key."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.kept_private import pseudonym
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.upkeep.cleaning import KEYS_FILE


def hidden_names(folders: Iterable[Path], contact: str, key: bytes) -> frozenset[str]:
    """The pseudonyms under which tables know a person.

    These are the pseudonym of what is given, and of every contact to whom the tables of keys in the
    folders link it.

    Args:
        folders: with tables of logs, in any depth.
        contact: an id of the person, or a key's value such as an e-mail address, as the raw files
            write it; the spelling in which servers compare ids is tried too.
        key: of the pseudonyms.

    Raises:
        LogError: a table of keys cannot be read.
    """
    own = {pseudonym(name, key) for name in (contact, contact.strip(), contact_key(contact))}
    linked = (_linked(path, own) for folder in folders for path in folder.rglob(KEYS_FILE))
    return frozenset(own.union(*linked))


def _linked(path: Path, own: set[str]) -> set[str]:
    """Contacts to whom a table links keys whose value is one of some pseudonyms."""
    try:
        table = pq.read_table(path, columns=["key", "contact_id"])
    except (OSError, pa.ArrowException) as error:
        raise LogError(f"{path}: {error}; mend or remove it, and erase again") from error
    theirs = reduce(pc.or_, [pc.ends_with(table["key"], f":{name}") for name in sorted(own)])
    return set(table["contact_id"].filter(theirs).drop_null().to_pylist())
