"""Logs whose people are mixed up on purpose: one taken for two, or two for one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_rl.logs.changed_columns import with_column

SPLIT, MERGED = "split", "merged"


def mixed_up(tables: Path, out: Path, how: str, share: float, seed: int) -> int:
    """Write a log of a reference world in which some people are mistaken for others.

    Split: all page views of a person lie under a browser that nothing joins to the person, as
    when somebody reads on another device. Merged: the rows of two people with one time zone carry
    one key, so that everything of both is one contact's.

    Args:
        tables: the raw tables as the world wrote them.
        out: folder to make.
        how: `SPLIT` or `MERGED`.
        share: of the people who are mistaken, in [0, 1].
        seed: chooses them; a larger share mistakes the same people and more.

    Returns:
        How many people are mistaken.
    """
    contacts = pq.read_table(tables / "contacts.parquet")
    pairs = _pairs(contacts, seed)
    chosen = [name for pair in pairs[: round(share * len(contacts) / 2)] for name in pair]
    out.mkdir(parents=True, exist_ok=True)
    events = pq.read_table(tables / "events.parquet")
    if how == SPLIT:
        events = _on_another_device(events, set(chosen))
    else:
        contacts = _with_one_key(contacts, chosen)
    pq.write_table(contacts, out / "contacts.parquet")
    pq.write_table(events, out / "events.parquet")
    decisions = pq.read_table(tables / "decisions.parquet")
    # Features are computed anew from what the log says of each contact.
    pq.write_table(decisions.drop_columns(["features"]), out / "decisions.parquet")
    return len(chosen)


def remove(folder: Path) -> None:
    """Take a mixed-up log away again."""
    shutil.rmtree(folder, ignore_errors=True)


def _pairs(contacts: pa.Table, seed: int) -> list[tuple[str, str]]:
    """Pairs of people with one time zone, in an order of chance."""
    names, zones = (contacts[name].to_pylist() for name in ("contact_id", "time_zone"))
    waiting: dict[str | None, str] = {}
    pairs = []
    for i in np.random.default_rng(seed).permutation(len(names)):
        other = waiting.pop(zones[i], None)
        if other is None:
            waiting[zones[i]] = names[i]
        else:
            pairs.append((other, names[i]))
    return pairs


def _on_another_device(events: pa.Table, people: set[str]) -> pa.Table:
    views = np.asarray(pc.equal(events["type"], "page_view"))
    keys = [
        [f"{key}~2" for key in row] if view and row[0].removeprefix("cookie:") in people else row
        for row, view in zip(events["keys"].to_pylist(), views.tolist(), strict=True)
    ]
    return with_column(events, "keys", pa.array(keys, events.schema.field("keys").type))


def _with_one_key(contacts: pa.Table, people: list[str]) -> pa.Table:
    pair = {name: f"household:{i // 2}" for i, name in enumerate(people)}
    keys = [
        [*row, pair[name]] if name in pair else row
        for row, name in zip(
            contacts["keys"].to_pylist(), contacts["contact_id"].to_pylist(), strict=True
        )
    ]
    return with_column(contacts, "keys", pa.array(keys, contacts.schema.field("keys").type))
