"""The New Haven get-out-the-vote experiment of 1998: visits, telephone calls and mail to voters.

One decision a voter and no journey, so this reads arrays, not raw tables.

Source: Gerber & Green (2000), The Effects of Canvassing, Telephone Calls, and Direct Mail on Voter
    Turnout; on what went wrong with the calls Imai (2005), Do Get-Out-the-Vote Calls Reduce
    Turnout? Both in the American Political Science Review.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from nurture_rl.errors import LogError
from nurture_rl.logs.adapters.common import BoolArray, FloatArray, cells, read_csv

FILE = "gerber_green.csv.gz"
_TYPES = {
    "voted98": pa.int64(),
    "persngrp": pa.int64(),
    "phnscrpt": pa.int64(),
    "mailings": pa.int64(),
    "age": pa.float64(),
    "majorpty": pa.float64(),
    "vote96.1": pa.int64(),
    "vote96.0": pa.int64(),
}


@dataclass(frozen=True, slots=True, eq=False)
class Voters:
    """What was tried on each voter and what was known before, n voters."""

    treated: dict[str, BoolArray]  # visit, call and mail: whether it was tried, [n] each
    voted: BoolArray  # in 1998, [n]
    voted_before: BoolArray  # in 1996, before the experiment: no treatment can move it, [n]
    features: FloatArray  # age and party membership, [n, 2]


def read_voters(source: Path) -> Voters:
    """Read the experiment.

    Raises:
        LogError: the file or a column is missing, or an outcome is neither 0 nor 1.
    """
    table = read_csv(source / FILE, _TYPES)
    outcomes = [cells(table, name) for name in ("voted98", "vote96.1")]
    if not all(np.isin(one, (0, 1)).all() for one in outcomes):
        raise LogError("expected 0 or 1 in voted98 and vote96.1; use the file as published")
    return Voters(
        treated={
            "visit": cells(table, "persngrp") > 0,
            "call": cells(table, "phnscrpt") > 0,
            "mail": cells(table, "mailings") > 0,
        },
        voted=outcomes[0] == 1,
        voted_before=outcomes[1] == 1,
        features=np.stack([cells(table, "age"), cells(table, "majorpty")], axis=1),
    )
