"""What each verb records of a run, tells at its end and answers to scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from nurture_envs.journey_file import load_journey
from nurture_rl.errors import PropensityError
from nurture_rl.report.source import ReportInput
from nurture_rl.workflow import run_page, run_tracking, verb_runs
from nurture_rl.workflow.objective import RunObjective
from nurture_rl.workflow.run_page import Made, report_input
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.stages import Workshop
from tests.unit.workflow.judged_by_hand import CONFIGS, findings


@dataclass
class Recorded:
    """Stands in for the run that is tracked."""

    uri: str
    tags: dict[str, Any]
    id: str = "r1"
    numbers: dict[tuple[int, str], float] = field(default_factory=dict)
    kept: list[tuple[str, str]] = field(default_factory=list)
    data: tuple[Any, ...] = ()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.numbers |= {(step, name): value for name, value in values.items()}

    def tag(self, name: str, value: str) -> None:
        self.tags[name] = value

    def artifact(self, path: Path, folder: str) -> None:
        self.kept.append((path.name, folder))

    def dataset(self, *told: object) -> None:
        self.data = told

    def bundle(self, path: Path, name: str) -> str:
        return f"models:/{name}"


@dataclass
class Loop:
    """A finished run's stages, written by hand, and what a verb records of them."""

    stages: SimpleNamespace
    runs: Path
    recorded: list[Recorded]

    def config(self, *given: str) -> DictConfig:
        register_schemas()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return compose("pipeline", ["workers=1", f"runs={self.runs}", *given])

    def done(self, verb: str, *given: str) -> tuple[dict[str, Any], Recorded]:
        return verb_runs.run_verb(self.config(*given), verb), self.recorded[-1]


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def propensities(ingested: Path, values: list[float | None]) -> None:
    names = [f"d{place}" for place in range(len(values))]
    table = pa.table({"decision_id": names, "propensity": pa.array(values, pa.float64())})
    pq.write_table(table, ingested / "decision_table.parquet")


def of_two() -> dict[str, Any]:
    """What the judges find of two policies, both played in the world."""
    found = findings()
    judged = found["appraisal"]["evaluation"]
    judged["policies"] = {name: judged["policies"][name] for name in ("ppo", "expert")}
    return found


GATE: dict[str, Any] = {
    "candidate": "ppo",
    "reasons": ["one", "two", "three"],
    "causes": [{"sentence": "one and three"}, {"sentence": "two"}],
    "left_out": {"copy": "a twin"},
}
CAUSES = [{"cause": "leak", "sentence": "It knows."}, {"cause": "drift", "sentence": "It moved."}]


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    root = tmp_path / "stages"
    folders = {
        "raw": root / "raw-r0",
        "ingested": root / "ingest-i1",
        "world": root / "world-w2",
        "gap": root / "gap-g3",
        "gap_page": root / "gap_page-p4",
        "evaluated": root / "evaluation-e5",
        "released": root / "release-l6",
    }
    learned = {"ppo": root / "policy-ppo-77", "tuned": root / "policy-tuned-88"}
    write(folders["ingested"] / "tables" / "summary.json", {"fingerprint": "f1"})
    counts = {"decisions": 41, "logged_features_equal": 0.5, "unmatched_events": 6}
    write(folders["ingested"] / "decisions.json", counts)
    write(folders["ingested"] / "notes.json", {"supports": ["a"]})
    propensities(folders["ingested"], [0.5, 0.25])
    heads = [{"head": "reply", "ece": 0.01}, {"head": "sale", "ece": 0.02}]
    write(folders["world"] / "calibration.json", {"heads": heads})
    said = {"trust": "do_not_trust", "causes": CAUSES}
    write(folders["gap"] / "gap.json", {"verdict": said, "evidence": {"two_sample": {"auc": 0.75}}})
    write(learned["ppo"] / "metrics.json", [[0, {"loss": 3.0}], [5, {"loss": 2.0}]])
    write(learned["tuned"] / "metrics.json", [])
    write(learned["tuned"] / "search.json", {"tried": 12})
    write(learned["tuned"] / "policy.json", {"spec": {"kind": "rules"}})
    write(folders["evaluated"] / "evaluation.json", of_two())
    write(folders["released"] / "gate.json", GATE | {"verdict": "refused"})
    recorded: list[Recorded] = []
    made = Loop(SimpleNamespace(), tmp_path / "deep" / "runs", recorded)

    @contextmanager
    def tracked(uri: str, experiment: str, name: str, plain: object, tags: Any) -> Iterator[Any]:
        recorded.append(Recorded(uri, {"experiment": experiment, "name": name, **tags}))
        yield recorded[-1]

    def finished(checked: Any, say: object, crew: object) -> SimpleNamespace:
        made.stages.settings = checked
        return made.stages

    by_log = RunObjective("ppo", -1.5, "lower end")
    monkeypatch.setattr(verb_runs, "log_objective", lambda *given: by_log)
    made.stages = SimpleNamespace(
        **folders,
        checked=folders["ingested"],
        is_decided=True,
        workshop=None,
        resolved=None,
        policies=learned,
        journey=load_journey("inbound_lead"),
        settings=None,
        begin=lambda: None,
    )
    monkeypatch.setattr(run_tracking, "tracked_run", tracked)
    monkeypatch.setattr(verb_runs, "Pipeline", finished)
    return made


def test_runs_are_tracked_in_a_file_beside_their_stages_unless_a_store_is_named(loop: Loop) -> None:
    made, run = loop.done("ingest")
    assert run.uri == f"sqlite:///{loop.runs / 'mlflow.db'}"
    assert (made["verb"], made["mlflow_run"], made["mlflow_uri"]) == ("ingest", "r1", run.uri)
    assert loop.runs.is_dir()
    _, run = loop.done("ingest", "tracking_uri=sqlite:////elsewhere.db")  # the folder is there now
    assert run.uri == "sqlite:////elsewhere.db"


def test_a_run_is_found_by_its_verb_data_and_seed(loop: Loop) -> None:
    _, run = loop.done("ingest", "seed=7")
    assert run.tags["name"] == "ingest reference seed 7"
    assert (
        run.tags.items()
        >= {"verb": "ingest", "data": "reference", "journey": "inbound_lead"}.items()
    )


def test_the_data_is_recorded_with_its_rows_and_where_it_came_from(
    loop: Loop, tmp_path: Path
) -> None:
    _, run = loop.done("ingest")
    assert run.data == ("reference", "f1", 41, "reference")
    _, run = loop.done("ingest", "data=folder", "data.journey=hillstrom", f"data.path={tmp_path}")
    assert run.data == ("folder", "f1", 41, str(tmp_path))


@pytest.mark.parametrize(
    ("logged", "said"),
    [
        ([None, 0.5, 0.5], r"1 of 3 decisions has no propensity \(d0, \.\.\.\)"),
        ([0.5, *[None] * 4], r"4 of 5 decisions have no propensity \(d1, d2, d3, \.\.\.\)"),
    ],
)
def test_a_log_without_propensities_is_refused_before_any_training(
    loop: Loop, logged: list[float | None], said: str
) -> None:
    propensities(loop.stages.ingested, logged)
    with pytest.raises(PropensityError, match=said):
        loop.done("evaluate")
    assert loop.recorded[-1].numbers == {}  # nothing of a world or a policy
    assert "policy ppo" in loop.done("train")[0]  # which needs none


def test_the_worlds_calibration_and_every_step_of_training_are_recorded(loop: Loop) -> None:
    made, run = loop.done("train")
    assert run.numbers == {
        (0, "world.ece.reply"): 0.01,
        (0, "world.ece.sale"): 0.02,
        (0, "ppo.loss"): 3.0,
        (5, "ppo.loss"): 2.0,
        (0, "objective"): -1.5,
    }
    assert made["objective"] == -1.5
    assert made["objective is"] == "lower end"
    assert made["policy tuned"] == loop.stages.policies["tuned"]


def test_the_worlds_verdict_is_told_with_every_cause(loop: Loop) -> None:
    made, run = loop.done("gap")
    assert made["the world's verdict"] == run.tags["world"] == "do_not_trust"
    assert made["  against it (1)"] == "leak: It knows."
    assert made["  against it (2)"] == "drift: It moved."
    assert (run.numbers[0, "gap.auc"], run.numbers[0, "gap.causes"]) == (0.75, 2)
    assert {name for name, folder in run.kept if folder == "gap"} == {
        "gap.html",
        "gap.md",
        "gap.json",
    }


def test_a_world_that_cannot_be_judged_has_causes_and_no_auc(loop: Loop) -> None:
    said = {"verdict": {"trust": "do_not_trust", "causes": []}}
    write(loop.stages.gap / "gap.json", said | {"evidence": {"two_sample": {"auc": None}}})
    _, run = loop.done("gap")
    assert {name for _, name in run.numbers if name.startswith("gap.")} == {"gap.causes"}


def test_what_each_judge_finds_is_recorded_without_undefined_numbers(loop: Loop) -> None:
    found = of_two()
    policies = found["appraisal"]["evaluation"]["policies"]
    policies["ppo"]["estimates"] = {"dr": found["appraisal"]["evaluation"]["logged"]}
    policies["expert"]["overlap"]["ess"] = math.nan
    found["truth"] = found["simulator"] | {
        "policies": {
            name: played | {"value": 3.0} for name, played in found["simulator"]["policies"].items()
        }
    }
    write(loop.stages.evaluated / "evaluation.json", found)
    _, run = loop.done("evaluate")
    ppo = {name: value for (_, name), value in run.numbers.items() if name.startswith("value.ppo.")}
    assert ppo == {
        "value.ppo.ess": 321.0,
        "value.ppo.dr": 1.0,
        "value.ppo.dr.lower": 0.0,
        "value.ppo.dr.upper": 2.0,
        "value.ppo.simulator.worst": 46.0,
        "value.ppo.simulator.value": 50.0,
        "value.ppo.simulator.lower": 49.0,
        "value.ppo.simulator.upper": 51.0,
        "value.ppo.truth.value": 3.0,
        "value.ppo.truth.lower": 49.0,
        "value.ppo.truth.upper": 51.0,
    }
    assert (0, "value.expert.simulator.value") in run.numbers
    assert (0, "value.expert.ess") not in run.numbers
    found["truth"] = None
    write(loop.stages.evaluated / "evaluation.json", found)
    _, run = loop.done("evaluate")
    assert not [name for _, name in run.numbers if ".truth." in name]


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        ("released", "passed"),
        ("refused", "refused"),
        ("rules_are_enough", "refused, rules are enough"),
        ("as_it_is", "not asked"),
    ],
)
def test_the_gates_answer_is_told_and_tagged(loop: Loop, verdict: str, answer: str) -> None:
    write(loop.stages.released / "gate.json", GATE | {"verdict": verdict})
    made, run = loop.done("export")
    assert made["gate"] == run.tags["gate"] == answer
    assert "verdict" not in made
    assert (made["  because (1)"], made["  because (2)"]) == ("one and three", "two")
    assert made["  left out, copy"] == "a twin"


def test_the_exit_code_says_whether_there_is_a_bundle(loop: Loop) -> None:
    refused = verb_runs.export(loop.config())
    assert (refused.code, "bundle" in refused.made) == (3, False)
    bundle = loop.stages.released / "bundle"
    bundle.mkdir()
    write(
        loop.stages.released / "gate.json",
        GATE | {"verdict": "released", "sentence": "It is better."},
    )
    released = verb_runs.export(loop.config())
    assert released.code == 0
    assert released.made["verdict"] == "It is better."
    assert released.made["mlflow_model"] == "models:/policy"
    tables, zone = loop.stages.ingested / "tables", loop.stages.settings.run.data.default_zone
    assert released.made["serve it with"] == (
        f"nurture serve bundle={bundle} store={loop.runs / 'store.db'} logs={tables} "
        f"default_zone={zone}"
    )


def made_of(loop: Loop) -> Made:
    stages = loop.stages
    return Made(
        raw=stages.raw,
        ingest=stages.ingested,
        world=stages.world,
        gap=stages.gap,
        policies=stages.policies,
        evaluation=stages.evaluated,
        release=stages.released,
    )


def shown_of(loop: Loop, about: Mapping[str, Any]) -> ReportInput:
    return report_input(loop.stages.journey, made_of(loop), about)


def test_page_and_figures_of_a_run_lie_in_one_folder(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    counted = findings() | {"contacts": {"training": 30, "held_out": 11}}
    write(loop.stages.evaluated / "evaluation.json", counted)
    monkeypatch.setattr(run_page, "write_report", lambda source, path: written.append(path))
    workshop = Workshop(tmp_path / "runs", lambda said: None)
    folder = run_page.run_page(workshop, loop.stages.journey, made_of(loop), {}, dict)
    assert [path.name for path in written] == ["report.html"]
    assert written[0].parent.parent == folder.parent  # while it is unfinished, beside its place


def test_the_report_shows_each_stage_by_its_own_fingerprint(loop: Loop) -> None:
    shown = shown_of(loop, {"seed": 7})
    assert shown.run["seed"] == 7
    assert shown.run["fingerprints"] == {
        "data": "f1",
        "raw": "r0",
        "ingest": "i1",
        "world": "w2",
        "gap": "g3",
        "policy-ppo": "77",
        "policy-tuned": "88",
        "evaluation": "e5",
        "release": "l6",
    }


def test_the_report_reads_back_what_the_stages_say(loop: Loop) -> None:
    write(
        loop.stages.evaluated / "evaluation.json",
        findings() | {"contacts": {"training": 30, "held_out": 11}},
    )
    shown = shown_of(loop, {})
    assert (shown.data["contacts_train"], shown.data["contacts_held_out"]) == (30, 11)
    assert (shown.data["decisions"], shown.data["unmatched_events"]) == (41, 6)
    assert shown.data["logged_features_equal"] == 0.5
    assert shown.candidate == "ppo"
    assert [head["ece"] for head in shown.calibration] == [0.01, 0.02]
    # A policy that searched is shown with what it found, one that did not is not.
    assert shown.tuned == {"tuned": {"tried": 12, "spec": {"kind": "rules"}}}
