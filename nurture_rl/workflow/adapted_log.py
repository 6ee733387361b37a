"""Public data sets as raw tables."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from nurture_rl.logs.adapters import heartsteps, hillstrom, starbucks_offers
from nurture_rl.logs.adapters.common import Adapter
from nurture_rl.workflow.raw_folder import note_source, require_unchanged

ADAPTERS: dict[str, Adapter] = {
    "hillstrom": hillstrom.write_raw,
    "heartsteps": heartsteps.write_raw,
    "starbucks_offers": starbucks_offers.write_raw,
}


def adapt(source: str, folder: Path, content: str, seed: int, out: Path) -> None:
    """Write the raw tables of a data set, and what they can show.

    Args:
        source: one of ADAPTERS.
        folder: where the data set lies.
        content: hash of the folder when it was looked at.
        seed: of what an adapter draws.
        out: the folder to fill.

    Raises:
        LogError: the folder holds no such data set, or changed while it was read.
    """
    notes = ADAPTERS[source](folder, out / "tables", np.random.default_rng(seed))
    require_unchanged(folder, content)
    note_source(content, asdict(notes), out)
