"""One cell of the study: a programme that is run in rounds in one world, or its control."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hydra import compose, initialize_config_dir

from experiments.common.progress import say
from nurture_rl.codec import read_record, write_record
from nurture_rl.report.rounds_source import RoundsRecord
from nurture_rl.workflow.rounds.rounds_verb import RECORD, all_rounds, checked_rounds
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.side_by_side import Crew
from nurture_rl.workflow.stages import code_hash

CONFIGS = Path(__file__).parents[2] / "configs"
ROUNDS, CONTACTS = 5, 5000
# What a cell does otherwise than the configuration of the verb.
ARMS = {
    "rounds": (f"rounds.count={ROUNDS}", f"rounds.contacts={CONTACTS}"),
    "one_log": ("rounds.count=1", f"rounds.contacts={ROUNDS * CONTACTS}"),
    "from_expert": (
        f"rounds.count={ROUNDS}",
        f"rounds.contacts={CONTACTS}",
        "data.logging.policy.kind=expert",
    ),
    "directed": (
        f"rounds.count={ROUNDS}",
        f"rounds.contacts={CONTACTS}",
        "rounds.challenger_share=0.5",
    ),
}
NULL = "null_lead"  # the world in which nothing can be learned
WORLDS = ("reference", "stalled_opportunity", "re_engagement", "trial_onboarding")
CELLS = (
    *(("reference", "rounds"), (NULL, "rounds"), ("reference", "one_log")),
    *(("reference", "from_expert"), ("re_engagement", "rounds"), ("re_engagement", "one_log")),
    *(("stalled_opportunity", "rounds"), ("stalled_opportunity", "one_log")),
    *(("trial_onboarding", "rounds"), ("trial_onboarding", "one_log")),
    *(("re_engagement", "from_expert"), ("stalled_opportunity", "from_expert")),
    *((data, "directed") for data in (*WORLDS, NULL)),
)


@dataclass(frozen=True, slots=True)
class CellRecord:
    """One programme in one world."""

    data: str  # of the config group
    arm: str  # of `ARMS`
    seed: int
    record: RoundsRecord
    seconds: float  # by the clock; what an earlier run had done is not in it
    code: str  # hash of the packages


def worked_out(out: Path, runs: Path, data: str, arm: str, seed: int) -> None:
    """One cell, unless it has a record; what a killed run has done is not done again."""
    path = out / f"{data}-{arm}-{seed}.json"
    if path.is_file():
        return
    say("[rounds]", f"{path.stem}: working")
    began = time.monotonic()
    register_schemas()
    words = [f"data={data}", f"seed={seed}", f"runs={runs}", "workers=1", *ARMS[arm]]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("rounds", overrides=words)
    folder = all_rounds(*checked_rounds(config), Crew(1, partial(say, f"[{path.stem}]")))
    record = read_record(folder / RECORD, RoundsRecord)
    seconds = round(time.monotonic() - began, 1)
    out.mkdir(parents=True, exist_ok=True)
    write_record(CellRecord(data, arm, seed, record, seconds, code_hash()), path)
    say("[rounds]", f"{path.stem}: done in {seconds:.0f} s")
