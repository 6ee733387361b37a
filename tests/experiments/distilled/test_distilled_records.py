"""The table of distilled policies tells every record, and its record is read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.distilled.run import HERE, DistilledRecord, DistilledRow
from experiments.distilled.table import report
from nurture_rl.codec import read_record, write_record

DRIP = DistilledRow("drip", None, None, None, 35.0, 1.4, -5.0, 1.0)
RULES = DistilledRow("at most 4 rules", 3, 0.657, 0.587, 41.0, 1.5, 1.0, 0.5)
RECORD = DistilledRecord("fqi", "reference", 6000, 1, 5000, (DRIP, RULES))


def test_a_row_tells_rules_fidelity_and_what_is_lost(tmp_path: Path) -> None:
    write_record(RECORD, tmp_path / "one.json")
    lines = report([read_record(tmp_path / "one.json", DistilledRecord)]).splitlines()
    assert lines[2] == "| reference | `fqi` | 1 | drip |  |  |  | 35.0 ± 1.4 | -5.0 ± 1.0 |"
    assert lines[3] == (
        "| reference | `fqi` | 1 | at most 4 rules | 3 | 66% | 59% | 41.0 ± 1.5 | +1.0 ± 0.5 |"
    )


@pytest.mark.parametrize("path", sorted((HERE / "records").glob("*.json")), ids=lambda p: p.stem)
def test_a_record_holds_the_policy_alone_and_its_rules(path: Path) -> None:
    record = read_record(path, DistilledRecord)
    alone = next(row for row in record.rows if row.policy == "alone")
    assert alone.less_alone == 0.0
    for row in record.rows:
        assert row.less_alone == pytest.approx(row.truth - alone.truth, abs=1e-6)
        assert (row.rules is None) is (row.fidelity is None)
