"""An edit redoes the stages that run the edited code and those after them, and no other."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.workflow import about_run
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.source_tree import PACKAGES, SourceTree, installed_tree
from nurture_rl.workflow.stages import Build, Workshop

pytestmark = pytest.mark.slow

CONFIGS = Path(__file__).parents[3] / "configs"
PROGRAMS = {f"policy-{name}" for name in ("no_contact", "random", "drip", "rules", "expert")}
IN_THE_WORLD = {"policy-ppo", "policy-tuned_rules"}
LEARNED = {"policy-linear_thompson", *IN_THE_WORLD}
JUDGED = {"evaluation", "release", "report"}
PAGES = {"gap_page", "report"}
AFTER_WORLD = {"gap", "gap_page", *IN_THE_WORLD, *JUDGED}
AFTER_LOG = {"world", "policy-linear_thompson", *AFTER_WORLD}
ALL = {"raw", "ingest", *AFTER_LOG, *PROGRAMS}

# What a stage's work runs of `nurture_rl`, beside `decisions`, `errors` and `workflow`. A room more
# is an edit more that redoes the stage.
JUDGE = {"appraisal", "codec", "interchange", "learned", "logs", "ope", "policies", "progress"}
JUDGE |= {"simulator"}
OF_ROUNDS = {
    "rounds.round_log": {
        *("features", "identity", "learned", "logs", "ope", "policies", "simulator"),
    },
    "rounds.pooled_log": {"learned", "logs", "ope", "policies"},
    "rounds.round_verdict": {*JUDGE, "release", "report"},
}
ROOMS = {
    "reference_log": {"logs", "policies"},
    "adapted_log": {"logs"},
    "raw_folder": {"logs"},  # its rules of privacy name the stage
    "ingestion": {"features", "identity", "logs", "ope"},  # `ope` estimates propensities
    "logging_policy": {"policies", "simulator"},
    "world_stage": {"logs", "simulator"},
    "gap": {"logs", "policies", "codec", "simulator"},
    "gap_page_stage": {"logs", "policies", "codec", "report", "simulator"},
    "training": set(),
    "learned_from_log": {"learned", "logs", "policies"},
    "learned_in_world": {"learned", "logs", "policies", "simulator"},
    "region_stage": JUDGE - {"interchange", "simulator"},
    "judges": JUDGE,
    "objective": JUDGE - {"simulator"},
    "release": {*JUDGE, "release"},
    **OF_ROUNDS,
    "run_page": {"logs", "policies", "codec", "report", "simulator"},
}


@dataclass(frozen=True, slots=True)
class Planned(Workshop):
    """Names stages and does no work."""

    built: dict[str, Build] = field(default_factory=dict)

    def stage(self, name: str, inputs: Any, build: Build, *handed: Any) -> Path:
        self.built[name] = build
        return self.folder(name, self.known(name, inputs, build, *handed))


@dataclass(frozen=True)
class PlannedPipeline(Pipeline):
    """The stages of a configuration with the code of a source tree."""

    code: SourceTree

    @cached_property
    def workshop(self) -> Planned:
        return Planned(Path("runs"), self.say, self.code)

    def names(self) -> dict[str, str]:
        """Every stage with the name of its folder."""
        folders = [self.raw, self.ingested, self.world, self.gap, self.gap_page]
        folders += [*self.policies.values(), self.evaluated, self.released, self.report]
        return {folder.name.rsplit("-", 1)[0]: folder.name for folder in folders}


def planned(checked: Settings, code: SourceTree) -> PlannedPipeline:
    return PlannedPipeline(checked, lambda line: None, code)


Configured = Callable[..., Settings]


@pytest.fixture(scope="module")
def configured() -> Iterator[Configured]:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield lambda *given: settings(compose("pipeline", overrides=list(given)))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the two packages."""
    root = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        (folder,) = __import__(package).__path__
        shutil.copytree(folder, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def read(source: Path) -> SourceTree:
    return SourceTree({package: source / package for package in PACKAGES})


@pytest.mark.parametrize(
    "file, redone",
    [
        ("nurture_rl/report/report.css", PAGES),
        ("nurture_rl/report/gap_page.html.j2", PAGES),
        ("nurture_rl/report/bar_table.py", {"report"}),
        ("nurture_rl/release/gate.py", {"release", "report"}),
        ("nurture_rl/ope/named_estimators.py", JUDGED),
        ("nurture_rl/ope/estimators.py", JUDGED),
        ("nurture_rl/ope/log.py", JUDGED),
        ("nurture_rl/rl/ppo.py", {"policy-ppo", *JUDGED}),
        ("nurture_rl/rl/rule_search.py", {"policy-tuned_rules", *JUDGED}),
        ("nurture_rl/bandits/action_design.py", {"policy-linear_thompson", *JUDGED}),
        ("nurture_rl/learned/scored.py", {*LEARNED, *JUDGED}),
        ("nurture_rl/simulator/gap/report.py", {"gap", "release", *PAGES}),
        ("nurture_rl/simulator/fit.py", {"world", *AFTER_WORLD}),
        ("nurture_rl/features/table.py", {"ingest", *AFTER_LOG}),
        ("nurture_envs/journey_file.py", ALL),
        ("nurture_rl/logs/adapters/hillstrom.py", set()),
        ("nurture_rl/serving/deciding/service.py", set()),
        ("nurture_rl/tracking/run.py", set()),
        ("nurture_rl/workflow/config.py", set()),
        ("nurture_rl/workflow/stages.py", set()),
        ("nurture_rl/workflow/pipeline.py", set()),
        ("nurture_envs/journeys/renewal.yaml", set()),  # the run's own journey is an input
    ],
)
def test_an_edit_redoes_what_runs_it_and_what_comes_after(
    source: Path, configured: Configured, file: str, redone: set[str]
) -> None:
    checked, path = configured(), source / file
    before = planned(checked, read(source)).names()
    original = path.read_bytes()
    path.write_bytes(original + b"\n# edited\n")
    try:
        after = planned(checked, read(source)).names()
    finally:
        path.write_bytes(original)
    assert before.keys() == ALL
    assert {name for name in before if before[name] != after[name]} == redone


@pytest.mark.parametrize(
    "seed, redone",
    [
        ("log", {"raw", "ingest", *AFTER_LOG}),
        ("world", {"world", *AFTER_WORLD}),
        ("learner", {"policy-linear_thompson", *IN_THE_WORLD, *JUDGED}),
        ("evaluation", {"gap", "gap_page", *JUDGED}),
    ],
)
def test_a_seed_redoes_what_draws_from_it_and_what_comes_after(
    configured: Configured, seed: str, redone: set[str]
) -> None:
    before = planned(configured(), installed_tree()).names()
    after = planned(configured(f"seeds.{seed}=9"), installed_tree()).names()
    assert {name for name in before if before[name] != after[name]} == redone


def test_the_seed_of_a_run_is_that_of_every_stage(configured: Configured) -> None:
    each = [f"seeds.{name}=9" for name in ("log", "world", "learner", "evaluation")]
    one = planned(configured("seed=9"), installed_tree()).names()
    other = planned(configured(*each), installed_tree()).names()
    assert one.pop("report") != other.pop("report")  # the page shows what was set
    assert one == other


def test_the_same_settings_typed_in_another_way_and_later_redo_nothing(
    configured: Configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = planned(configured(), installed_tree()).names()
    monkeypatch.setattr(sys, "argv", ["nurture pipeline", "seed=0"])
    monkeypatch.setattr(about_run, "datetime", None)  # the time is asked when a page is made
    assert planned(configured(), installed_tree()).names() == before


@pytest.mark.parametrize("module", ROOMS)
def test_a_stage_runs_the_rooms_it_is_known_to_run(module: str) -> None:
    reached = installed_tree().reached(f"nurture_rl.workflow.{module}")
    rooms = {name.split(".")[1] for name in reached if name.startswith("nurture_rl.")}
    assert rooms - {"decisions", "errors", "wording", "workflow"} == ROOMS[module]
    assert f"nurture_rl.workflow.{module}" in reached
    assert not {"nurture_rl.workflow.config", "nurture_rl.workflow.stages"} & reached


def test_every_stage_of_the_loop_has_its_rooms_told(configured: Configured, tmp_path: Path) -> None:
    loop = planned(configured(), installed_tree())
    loop.names()
    folder = planned(configured("data=folder", f"data.path={tmp_path}"), installed_tree())
    adapted = planned(configured("data=hillstrom", f"data.path={tmp_path}"), installed_tree())
    for one in (folder, adapted):
        assert one.raw
    builds = [*loop.workshop.built.values(), *folder.workshop.built.values()]
    builds += adapted.workshop.built.values()
    told = {f"nurture_rl.workflow.{module}" for module in ROOMS}
    known = {getattr(build, "func", build).__module__ for build in builds}
    beside = {
        f"nurture_rl.workflow.{module}"
        for module in ("logging_policy", "objective", "region_stage", *OF_ROUNDS)
    }
    assert known | beside == told
