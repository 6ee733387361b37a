"""The Hydra apps as users type them: resumed, swept over, and refusing with one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.in_process import TINY, nurture

LOG = [*TINY, "data.contacts=200"]
SMALL = [*LOG, "~policies.no_contact", "~policies.random"]  # each is judged for two seconds


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    done = nurture("pipeline", *SMALL, f"runs={folder}")
    assert done.code == 0, done.stderr[-3000:]
    return folder


def test_the_pipeline_leaves_a_report_and_a_tracked_run(runs: Path) -> None:
    (page,) = (runs / "stages").glob("report-*/report.html")
    assert "SYNTHETIC" in page.read_text("utf-8")
    assert (runs / "mlflow.db").is_file()
    (searched,) = (runs / "stages").glob("policy-tuned_rules-*/search.json")
    found = json.loads(searched.read_text("utf-8"))
    text = page.with_suffix(".md").read_text("utf-8")
    assert "## The rules that were found for “tuned_rules”" in text
    assert f"The base `{found['base']}` with" in text
    for rule in found["program"]["rules"]:
        assert f"| `{rule['do']}` |" in text


def test_the_gate_refuses_what_the_world_of_a_tiny_log_speaks_for_and_says_why(
    runs: Path,
) -> None:
    (decided,) = (runs / "stages").glob("release-*/gate.json")
    gate = json.loads(decided.read_text("utf-8"))
    assert not gate["passed"]
    (reason,) = [one for one in gate["reasons"] if "must not be trusted" in one]
    assert "too_few_data" in reason
    (page,) = (runs / "stages").glob("report-*/report.html")
    assert "Do not trust it" in page.read_text("utf-8")


def test_the_gap_verb_tells_the_verdict_and_where_its_report_lies(runs: Path) -> None:
    done = nurture("gap", *LOG, f"runs={runs}")
    assert done.code == 0, done.stderr[-3000:]
    assert "gap: unchanged, using" in done.stdout
    assert "the world's verdict: do_not_trust" in done.stdout
    assert "against it (1): too_few_data" in done.stdout
    folder = next((runs / "stages").glob("gap_page-*"))
    assert {path.name for path in folder.iterdir()} >= {"gap.html", "gap.md", "gap.json"}


def test_a_second_run_does_no_stage_again(runs: Path) -> None:
    done = nurture("pipeline", *SMALL, f"runs={runs}")
    assert "working" not in done.stdout
    assert done.stdout.count("unchanged, using") >= 10


def test_one_changed_setting_redoes_only_what_depends_on_it(runs: Path) -> None:
    done = nurture("evaluate", *SMALL, f"runs={runs}", "simulation.contacts=65")
    redone = [line for line in done.stdout.splitlines() if line.endswith(": working")]
    assert redone == ["evaluation: working"]


def test_a_sweep_trains_every_policy_at_every_seed(runs: Path) -> None:
    sweep = ["policy=linear_thompson,drip", "seed=0,1"]
    done = nurture("train", "--multirun", *LOG, f"runs={runs}", *sweep)
    assert done.code == 0, done.stderr[-3000:]
    assert len(list((runs / "stages").glob("policy-linear_thompson-*"))) >= 2
    assert len(list((runs / "stages").glob("raw-*"))) == 2  # one log a seed, shared by policies


def test_a_refusal_is_one_line_and_exit_code_2(runs: Path, tmp_path: Path) -> None:
    done = nurture("ingest", "data=folder", f"data.path={tmp_path / 'nowhere'}", f"runs={runs}")
    assert done.code == 2
    assert "expected the folder of 'folder'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_process_ends_with_the_code_of_the_refusal() -> None:
    command = [sys.executable, "-m", "nurture_rl.cli", "ingets"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no verb 'ingets'; did you mean 'ingest'" in line


def test_an_empty_log_is_refused_with_what_was_found(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event_id": "e1"\n', "utf-8")
    (tmp_path / "contacts.jsonl").write_text("", "utf-8")
    done = nurture("ingest", "data=folder", f"data.path={tmp_path}", f"runs={runs}")
    assert done.code == 2
    assert "expected at least one usable event and one usable contact" in done.stderr
    assert "Traceback" not in done.stderr
    (quarantine,) = (runs / "refused").glob("*.quarantine.parquet")
    assert str(quarantine) in done.stderr
    (row,) = pq.read_table(quarantine).to_pylist()
    assert (row["file"], row["line"]) == ("events.jsonl", 1)


def raw_copy(runs: Path, folder: Path, **columns: object) -> Path:
    """The raw tables of a run with some decision columns filled with one value."""
    raw = next((runs / "stages").glob("raw-*/tables"))
    folder.mkdir()
    for kind in ("events", "contacts", "decisions"):
        table = pq.read_table(raw / f"{kind}.parquet")
        for name, value in columns.items() if kind == "decisions" else ():
            place = table.column_names.index(name)
            filled = pa.array([value] * len(table), table.schema.field(name).type)
            table = table.set_column(place, name, filled)
        pq.write_table(table, folder / f"{kind}.parquet")
    return folder


@pytest.mark.parametrize(
    "columns, said",
    [
        ({"propensity": None}, "decisions have no propensity"),
        ({"journey": "hillstrom"}, " with other journey"),
        ({"catalog": "deadbeef"}, "decisions were refused"),
    ],
)
def test_a_log_that_cannot_be_judged_is_refused_before_anything_is_trained(
    runs: Path, tmp_path: Path, columns: dict[str, object], said: str
) -> None:
    log = raw_copy(runs, tmp_path / "log", **columns)
    done = nurture("pipeline", *SMALL, "data=folder", f"data.path={log}", f"runs={runs}")
    assert done.code == 2
    assert said in done.stderr
    assert "world: working" not in done.stdout
    assert "Traceback" not in done.stderr


def test_an_exported_program_says_that_the_gate_was_not_asked(runs: Path) -> None:
    few = ["~policies.tuned_rules", "~policies.ppo"]
    done = nurture("export", *SMALL, *few, f"runs={runs}", "release.policy=drip")
    assert done.code == 0, done.stderr[-3000:]
    assert "gate: not asked" in done.stdout


def test_a_learned_policy_cannot_be_exported_around_the_gate(runs: Path) -> None:
    few = ["~policies.tuned_rules"]
    done = nurture("export", *SMALL, *few, f"runs={runs}", "release.policy=ppo")
    assert done.code == 2
    assert "learned policies are released by the gate alone" in done.stderr
