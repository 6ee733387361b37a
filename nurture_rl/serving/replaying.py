"""Replaying what was served, from its export alone: does this bundle give these decisions again?"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.decide import replay
from nurture_rl.serving.export import REPLAYED
from nurture_rl.serving.layers import FAIL_CLOSED, PAUSED
from nurture_rl.serving.records import Decision
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted, plural

_MICROSECONDS = {"anchor": "anchor_us", "decided_at": "decided_us", "send_at": "scheduled_us"}
_NAMES = {field.name for field in fields(Decision)}
_LISTS = ("probabilities", "mask", "reasons", "features")
_ROWS = 10_000  # read at a time
_PARTED = 3  # exit code when a decision did not come out again


def exported_decisions(folder: Path) -> Iterator[tuple[Decision, int]]:
    """The decisions of an export with their seeds, in the order in which they were made.

    Raises:
        LogError: there are none, or they lack what a replay needs.
    """
    path = folder / "decisions.parquet"
    if not path.is_file():
        raise LogError(f"expected {path.name} in {folder}; export the store as parquet")
    try:
        file = pq.ParquetFile(path)
        missing = [name for name in REPLAYED.names if name not in file.schema_arrow.names]
        if missing:
            raise LogError(f"{path}: expected {', '.join(missing)}; export the store again")
        for block in file.iter_batches(_ROWS):
            for cells in _plain(block):
                yield _decision(cells), cells["seed"]
    except pa.ArrowException as error:
        raise LogError(f"{path}: {error}; export the store again") from error


def _plain(block: pa.RecordBatch) -> list[dict[str, Any]]:
    columns = {name: block.column(name) for name in block.schema.names}
    for name in _MICROSECONDS:
        columns[name] = columns[name].cast("int64")
    rows: list[dict[str, Any]] = pa.RecordBatch.from_pydict(columns).to_pylist()
    return rows


def _decision(cells: dict[str, Any]) -> Decision:
    named = {_MICROSECONDS.get(name, name): value for name, value in cells.items()}
    for name in _LISTS:
        named[name] = None if named[name] is None else tuple(named[name])
    return Decision(**{name: value for name, value in named.items() if name in _NAMES})


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to make again."""

    bundle: str  # folder of the bundle that decided
    log: str  # folder that `nurture export_log` wrote, as parquet


def replay_log(options: ReplayOptions) -> VerbResult:
    """The verb `replay`; its exit code is `_PARTED` where a decision did not come out again.

    Raises:
        NurtureError: the bundle or the log cannot be read.
    """
    tally: Counter[str] = Counter()
    bundle = load_bundle(Path(options.bundle))
    known = (bundle.policy_id, bundle.manifest.rules_id, FAIL_CLOSED, PAUSED)
    for decision, seed in exported_decisions(Path(options.log)):
        if decision.policy_id not in known:
            tally["other"] += 1
        elif replay(bundle, decision, seed):
            tally["same"] += 1
        else:
            tally["parted"] += 1
            print(f"{decision.decision_id}: another action or probability", file=sys.stderr)
    print(
        f"{counted(tally['same'], 'decision')} came out again bit for bit, {tally['parted']} did "
        f"not, {tally['other']} {plural(tally['other'], 'was', 'were')} another policy's"
    )
    counts = {name: tally[name] for name in ("same", "parted", "other")}
    return VerbResult(counts, _PARTED if tally["parted"] else 0)
