"""`nurture lift` as an analyst types it, on the log of a world in which two programs ran."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.journey_file import load_journey
from nurture_rl.cli.main import main
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.collect import reference_simulation
from tests.pipeline.in_process import COMPOSED_ONCE

PLAN = """
experiment: spring
journey: inbound_lead
unit: contact
starts: 2020-01-01
arms: {policy: 0.5, usual: 0.5}
usual: usual
window_days: 14
units: 400
velocity: {signal: became_mql, days: 28}
"""


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The expert's rules for 200 leads, the drip for 200 others: he books three times as many."""
    folder = tmp_path_factory.mktemp("programme")
    simulation = reference_simulation(load_journey("inbound_lead"))
    context = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    tables: dict[str, list[pa.Table]] = {"events": [], "contacts": [], "decisions": []}
    for seed, (arm, program) in enumerate({"policy": "expert", "usual": "drip"}.items()):
        policy = build_policy(program, context)
        write_reference_log(folder / arm, simulation, policy, 200, seed=seed)
        for kind, parts in tables.items():
            table = pq.read_table(folder / arm / f"{kind}.parquet")
            if kind == "decisions":
                place = table.column_names.index("arm")
                table = table.set_column(
                    place, table.schema.field(place), pa.array([arm] * len(table))
                )
            parts.append(table)
    (folder / "log").mkdir()
    for kind, parts in tables.items():
        pq.write_table(pa.concat_tables(parts), folder / "log" / f"{kind}.parquet")
    (folder / "spring.yaml").write_text(PLAN, "utf-8")
    return folder


def _typed(folder: Path, runs: Path, *more: str) -> int:
    words = [f"data.path={folder / 'log'}", f"plan={folder / 'spring.yaml'}", f"runs={runs}"]
    return main(["lift", *words, *more])


@COMPOSED_ONCE
def test_a_better_program_is_found_and_reported(
    programme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _typed(programme, tmp_path / "runs") == 0
    told = capsys.readouterr().out
    assert "Did it help? Yes. `policy` brings more meetings booked than `usual`." in told
    (folder,) = (tmp_path / "runs" / "lift").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        *("lift.html", "lift.md", "lift.json", "journal.json", "next.yaml")
    }
    report = json.loads((folder / "lift.json").read_text("utf-8"))
    star = report["lifts"]["policy"][0]
    assert star["verdict"] == "better"
    assert report["arms"]["policy"]["contacts"] == 200
    assert star["treated"] == pytest.approx(report["arms"]["policy"]["means"]["meetings booked"])
    assert report["next"]["kind"] == "larger share"
    assert (folder / "next.yaml").read_text("utf-8") == report["next"]["block"]
    families = {one["family"]: one for one in report["details"]["families"]}
    assert families["unknown"]["mails"] > 100
    page, markdown = ((folder / f"lift.{form}").read_text("utf-8") for form in ("html", "md"))
    for words in ("Influenced and incremental pipeline", "Mail by job", "Decision journal"):
        assert words in page
    assert "What happened by arm" in page
    assert "| policy | remove_objection |" in markdown
    assert [one["role"] for one in report["lifts"]["policy"]] == [
        "north star",
        "supporting",
        "supporting",
        "velocity",
    ]


@COMPOSED_ONCE
def test_the_same_log_and_plan_give_the_same_page(programme: Path, tmp_path: Path) -> None:
    pages = []
    for run in ("one", "two"):
        _typed(programme, tmp_path / run)
        pages += [path.read_bytes() for path in (tmp_path / run / "lift").glob("*/lift.html")]
    assert pages[0] == pages[1]


@COMPOSED_ONCE
def test_a_read_tells_what_moved_since_the_last_one_and_is_the_same_again(
    programme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last read is found beside this one, or named."""
    runs, early = tmp_path / "runs", "data.complete_until=2026-05-06T00:00:00Z"
    _typed(programme, runs, early)
    (first,) = (runs / "lift").iterdir()
    assert json.loads((first / "journal.json").read_text("utf-8"))["last"] is None
    _typed(programme, runs)
    (second,) = (folder for folder in (runs / "lift").iterdir() if folder != first)
    made = {path.name: path.read_bytes() for path in second.iterdir()}
    entry = json.loads(made["journal.json"])
    digest = hashlib.sha256((first / "journal.json").read_bytes()).hexdigest()
    assert digest.startswith(entry["last"]["digest"])
    assert any(new["name"] == "meetings booked" for _, new in entry["last"]["moved"])
    assert b"Since the last read of 6 May 2026" in made["lift.html"]
    _typed(programme, runs, f"last={first}")
    assert {path.name: path.read_bytes() for path in second.iterdir()} == made
    assert _typed(programme, runs, f"last={programme}") == 2
    assert "expected the folder of an earlier read" in capsys.readouterr().err


@COMPOSED_ONCE
def test_a_read_in_its_first_days_cannot_tell(programme: Path, tmp_path: Path) -> None:
    assert _typed(programme, tmp_path / "runs", "data.complete_until=2026-04-20T00:00:00Z") in (
        2,
        4,
    )


@COMPOSED_ONCE
def test_without_a_plan_it_says_how_to_write_one(
    programme: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lift", f"data.path={programme / 'log'}", f"runs={tmp_path}"]) == 2
    assert "docs/measuring-lift.md" in capsys.readouterr().err
