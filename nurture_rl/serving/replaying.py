"""Replaying what was served, from its export alone: does this bundle give these decisions again?"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_envs.errors import NurtureError
from nurture_rl.errors import LogError
from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.decide import FAIL_CLOSED, replay
from nurture_rl.serving.export import REPLAYED
from nurture_rl.serving.records import Decision
from nurture_rl.wording import counted, plural

_MICROSECONDS = {"anchor": "anchor_us", "decided_at": "decided_us", "send_at": "scheduled_us"}
_NAMES = {field.name for field in fields(Decision)}
_LISTS = ("probabilities", "mask", "reasons", "features")
_ROWS = 10_000  # read at a time
_PARTED = 1  # exit code when a decision did not come out again
_REFUSED = 2


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


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m nurture_rl.serving.replaying BUNDLE FOLDER`; exit code 1 where one differs."""
    parser = ArgumentParser(prog="nurture_rl.serving.replaying", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder of the bundle that decided")
    parser.add_argument("folder", type=Path, help="what `nurture_rl.serving.export` wrote")
    given = parser.parse_args(argv)
    found: Counter[str] = Counter()
    try:
        bundle = load_bundle(given.bundle)
        for decision, seed in exported_decisions(given.folder):
            if decision.policy_id not in (bundle.policy_id, FAIL_CLOSED):
                found["other"] += 1
            elif replay(bundle, decision, seed):
                found["same"] += 1
            else:
                found["parted"] += 1
                print(f"{decision.decision_id}: another action or probability", file=sys.stderr)
    except (NurtureError, OSError) as error:
        print(error, file=sys.stderr)
        return _REFUSED
    print(
        f"{counted(found['same'], 'decision')} came out again bit for bit, {found['parted']} did "
        f"not, {found['other']} {plural(found['other'], 'was', 'were')} another policy's"
    )
    return _PARTED if found["parted"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
