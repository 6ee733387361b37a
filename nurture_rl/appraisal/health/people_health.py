"""Which merges of contacts rest on likeness alone, and the weakest of them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.appraisal.health.finding import LOOK, LogFinding, share
from nurture_rl.logs.merges import LIKELY

_SHOWN = 3  # of the weakest


def people_health(merges: pa.Table, contacts: int) -> Iterator[LogFinding]:
    """A finding where contacts were joined without a shared key.

    Args:
        merges: of `MERGES`.
        contacts: of the log.
    """
    made = merges.filter(pc.is_valid(merges["contact_id"]))
    likely = made.filter(pc.equal(made["by"], LIKELY))
    if not len(likely):
        return
    order = [("probability", "ascending"), ("left", "ascending"), ("right", "ascending")]
    weakest = "; ".join(
        f"{row['left']} and {row['right']} at {row['probability']:g} ({', '.join(row['levels'])})"
        for row in likely.sort_by(order).slice(0, _SHOWN).to_pylist()
    )
    yield LogFinding(
        "likely merges",
        LOOK,
        f"{share(len(likely), len(made))} merges, in a log of {contacts:,} contacts, rest on "
        f"likeness and no shared key; the weakest: {weakest}",
        "look at the weakest in merges.parquet; write wrong ones under `not_the_same` of "
        "identity.yaml and ingest again, or raise its `threshold`",
    )
