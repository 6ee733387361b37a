"""The shown command of a real data set, in a small form."""

from __future__ import annotations

import gzip
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from tests.contract.shown_commands import LINES, REAL_LOGS
from tests.pipeline.in_process import nurture

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = (
    "experiment=small",
    "ppo.iterations=2",
    "ppo.n_contacts=16",
    "tuned.plays=2",
    "tuned.contacts=16",
    "simulation.seeds=[1]",
)


@dataclass(frozen=True)
class Finished:
    """A pipeline that has gone as far as the gate."""

    pipeline: Pipeline
    evaluation: dict[str, Any]
    gate: dict[str, Any]
    notes: dict[str, Any]
    gap: dict[str, Any]

    def estimate(self, policy: str, kind: str) -> float:
        """One off-policy estimate, in the journey's unit."""
        return float(
            self.evaluation["appraisal"]["evaluation"]["policies"][policy]["estimates"][kind][
                "estimate"
            ]["value"]
        )

    def interval(self, policy: str, kind: str) -> tuple[float, float]:
        """Its interval."""
        found = self.evaluation["appraisal"]["evaluation"]["policies"][policy]["estimates"][kind][
            "interval"
        ]
        return float(found["lower"]), float(found["upper"])


def first_people(source: Path, folder: Path, n: int) -> None:
    """The first n people of the programme of offers, with all that they were offered and did."""
    with gzip.open(source / "profile.json.gz", "rt", encoding="utf-8") as lines:
        some = [line for _, line in zip(range(n), lines, strict=False)]
    with gzip.open(folder / "profile.json.gz", "wt", encoding="utf-8") as out:
        out.writelines(some)
    ids = pa.array([json.loads(line)["id"] for line in some])
    for name in ("train_v3_starbucks.csv.gz", "test_v3_starbucks.csv.gz"):
        table = pa_csv.read_csv(source / name)
        with pa.output_stream(str(folder / name)) as stream:
            pa_csv.write_csv(table.filter(pc.is_in(table["customer_id"], ids)), stream)
    (folder / "portfolio.json").write_bytes((source / "portfolio.json").read_bytes())


def finish(source: str, folder: Path, runs: Path, contacts: int) -> Finished:
    """Run the command that the page of a source shows; `contacts` are simulated."""
    line = REAL_LOGS[source]
    assert (f"experiments/{source}/README.md", line) in LINES
    _, verb, *words = shlex.split(line)
    words += [*SMALL, f"simulation.contacts={contacts}", f"data.path={folder}", f"runs={runs}"]
    ended = nurture(verb, *words)
    assert ended.code == 0, ended.stderr[-3000:]
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(verb, words)
    pipeline = Pipeline(settings(config), lambda line: None)
    return Finished(
        pipeline,
        _read(pipeline.evaluated / "evaluation.json"),
        _read(pipeline.released / "gate.json"),
        _read(pipeline.ingested / "notes.json"),
        _read(pipeline.gap / "gap.json"),
    )


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
