"""Two learners on each of three real logs by one command, on slices; the verdict comes first."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from tests.contract.shown_commands import TWO_LEARNERS, commands
from tests.pipeline.in_process import nurture
from tests.pipeline.real_sources import first_people
from tests.shared_data import shared_data

ROOT = Path(__file__).parents[2]
LEARNERS = ("cql", "dr_policy")  # whole journeys and one decision at a time
FOLDERS = {
    "hillstrom": "hillstrom",
    "heartsteps": "heartsteps_v1",
    "starbucks_offers": "starbucks_offers",
}
SMALL = ("experiment=small", "simulation.contacts=64", "simulation.seeds=[1]")
SHORT = tuple(f"policies.cql.fit.{one}" for one in ("steps=200", "hidden=[8]"))


def some_customers(source: Path, folder: Path) -> None:
    """The first 4,000 of 64,000."""
    table = pa_csv.read_csv(source / "hillstrom.csv.gz").slice(0, 4000)
    with pa.output_stream(str(folder / "hillstrom.csv.gz")) as stream:
        pa_csv.write_csv(table, stream)


def everybody(source: Path, folder: Path) -> None:
    """All 37 people of the trial."""
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)


def some_people(source: Path, folder: Path) -> None:
    """The first 1,000 of the 17,000 people of the programme."""
    first_people(source, folder, 1000)


SLICES: dict[str, Callable[[Path, Path], None]] = {
    "hillstrom": some_customers,
    "heartsteps": everybody,
    "starbucks_offers": some_people,
}


@dataclass(frozen=True)
class Told:
    """What one command left."""

    report: list[str]  # lines of the report
    gate: dict[str, Any]
    judged: dict[str, Any]  # by policy


def shown(source: str) -> list[str]:
    """The words behind `nurture` of the command that an experiment's page shows."""
    page = (ROOT / "experiments" / source / "README.md").read_text("utf-8")
    (line,) = [one for one in commands(page) if TWO_LEARNERS in one]
    return shlex.split(line)[1:]


@pytest.fixture(scope="module", params=FOLDERS)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    source = str(request.param)
    whole, folder = shared_data(FOLDERS[source]), tmp_path_factory.mktemp("some")
    SLICES[source](whole, folder)
    runs = tmp_path_factory.mktemp("runs")
    given = [*shown(source), *SMALL, *SHORT, f"data.path={folder}", f"runs={runs}"]
    ended = nurture(*given)
    assert ended.code == 0, ended.stderr[-3000:]
    (page,) = (runs / "stages").glob("report-*/report.md")
    (gate,) = (runs / "stages").glob("release-*/gate.json")
    (judged,) = (runs / "stages").glob("evaluation-*/evaluation.json")
    appraisal = json.loads(judged.read_text("utf-8"))["appraisal"]
    return Told(
        page.read_text("utf-8").splitlines(),
        json.loads(gate.read_text("utf-8")),
        appraisal["evaluation"]["policies"],
    )


def test_the_verdict_stands_first_under_the_title(told: Told) -> None:
    title, blank, verdict = told.report[:3]
    assert title.startswith("# ")
    assert blank == ""
    badge = r"\*\*(Released|Refused|Rules are enough|Cannot tell yet)\.\*\* "
    assert re.match(badge, verdict)
    assert verdict.startswith("**Released") is told.gate["passed"]


def test_both_learners_are_judged_by_the_held_out_log(told: Told) -> None:
    for name in LEARNERS:
        assert told.judged[name]["judgement"]["verdict"] in (
            "better",
            "not_better",
            "cannot_tell_yet",
        )
    assert told.gate["candidate"] in LEARNERS  # nobody else learned anything
