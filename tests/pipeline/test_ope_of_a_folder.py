"""What a server exported is judged, though an unsubscribe was reported days late."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from nurture_rl.errors import ConfigError
from nurture_rl.workflow.ope_verb import Finished, run_ope
from nurture_rl.workflow.settings_schema import register_schemas
from tests.shared_faults import faulty_folder

ROOT = Path(__file__).parents[2]
register_schemas()


def evaluated(folder: Path, runs: Path, *overrides: str) -> Finished:
    settings = ["data=folder", f"data.path={folder}", f"runs={runs}", "ask.estimators=[dr]"]
    settings += [f"~policy@policies.{name}" for name in ("linear_thompson", "no_contact")]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        return run_ope(compose("ope", [*settings, *overrides]))


@pytest.mark.timeout(240)
def test_a_served_log_with_a_late_unsubscribe_is_judged_and_says_what_it_cut(
    tmp_path: Path,
) -> None:
    found = evaluated(faulty_folder("served_late_unsubscribe"), tmp_path)
    assert found.exit_code == 4
    log = json.loads((found.folder / "ope.json").read_text("utf-8"))["log"]
    assert (log["read"], log["refused"]) == (1607, 4)
    assert [(one["kind"], one["rows"]) for one in log["reasons"]] == [("after the end", 4)]
    with (found.folder / "quarantine.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["file"], row["reason"].split(":")[0]) for row in rows} == {
        ("decisions.parquet", "after the end")
    }
    with pytest.raises(ConfigError, match=r"targets\.drip: the run has a policy of that name"):
        evaluated(faulty_folder("served_late_unsubscribe"), tmp_path, "+targets.drip.always=exit")
