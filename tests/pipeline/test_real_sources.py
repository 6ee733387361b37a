"""Three real logs through the pipeline that the reference log takes, held against their files."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.decisions import held_out_share, load_decisions
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.targets import target_on_log
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.held_out import held_out_log
from tests.pipeline.real_sources import Finished, finish, first_people
from tests.shared_data import shared_data

PEOPLE = 2500  # of the 17,000 in the programme
MENS, WOMENS, NONE = "Mens E-Mail", "Womens E-Mail", "No E-Mail"


@pytest.fixture(scope="module")
def hillstrom(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish("hillstrom", shared_data("hillstrom"), tmp_path_factory.mktemp("h"), 300)


@pytest.fixture(scope="module")
def heartsteps(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish("heartsteps", shared_data("heartsteps_v1"), tmp_path_factory.mktemp("s"), 16)


@pytest.fixture(scope="module")
def offers(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    source, folder = shared_data("starbucks_offers"), tmp_path_factory.mktemp("some")
    first_people(source, folder, PEOPLE)
    return finish("starbucks_offers", folder, tmp_path_factory.mktemp("o"), 300)


@pytest.mark.parametrize("source", ["hillstrom", "heartsteps", "offers"])
def test_a_real_log_reaches_a_gate_that_gives_reasons(
    source: str, request: pytest.FixtureRequest
) -> None:
    done: Finished = request.getfixturevalue(source)
    assert done.gate["candidate"] in ("linear_thompson", "ppo", "tuned_rules")
    assert done.gate["passed"] is (not done.gate["reasons"])
    bundled = (done.pipeline.released / "bundle").is_dir()
    assert bundled is (done.gate["exported"] is not None)
    assert done.notes["supports"]
    assert done.notes["limits"]
    assert done.gap["verdict"]["sentence"]
    trusted = done.gap["verdict"]["trust"] != "do_not_trust"
    assert trusted is not any("must not be trusted" in one for one in done.gate["reasons"])
    assert done.evaluation["truth"] is None  # nobody knows it


class _Customers:
    """The held-out customers of the e-mail test, read from the file and nothing else."""

    def __init__(self) -> None:
        table = pa_csv.read_csv(shared_data("hillstrom") / "hillstrom.csv.gz")
        self.arm: NDArray[np.str_] = np.asarray(table["segment"].to_pylist(), str)
        self.visit = table["visit"].to_numpy().astype(float)
        self.mens, self.womens = table["mens"].to_numpy(), table["womens"].to_numpy()
        names = [f"customer-{row:05d}" for row in range(1, len(table) + 1)]
        self.held_out = np.array([held_out_share(name) < 0.5 for name in names])

    def ips(self, wanted: NDArray[np.str_]) -> float:
        """Value of a deterministic policy: the weight is 3 where the arm agrees, else 0."""
        weight = 3.0 * (self.arm == wanted)
        return float((weight * self.visit)[self.held_out].mean())


def test_values_of_simple_policies_are_those_of_the_file(hillstrom: Finished) -> None:
    file = _Customers()
    everybody = np.full(len(file.arm), MENS)
    rules = np.where((file.womens >= 1) & (file.mens < 1), WOMENS, MENS)
    assert hillstrom.estimate("drip", "ips") == pytest.approx(file.ips(everybody), abs=1e-9)
    assert hillstrom.estimate("rules", "ips") == pytest.approx(file.ips(rules), abs=1e-9)
    nothing = np.full(len(file.arm), NONE)
    assert hillstrom.estimate("no_contact", "ips") == pytest.approx(file.ips(nothing), abs=1e-9)
    logged = hillstrom.evaluation["appraisal"]["evaluation"]["logged"]["estimate"]["value"]
    assert logged == pytest.approx(file.visit[file.held_out].mean(), abs=1e-9)


def test_sending_everybody_the_womens_mail_is_worth_its_arm(hillstrom: Finished) -> None:
    pipeline, file = hillstrom.pipeline, _Customers()
    journey, catalog = pipeline.journey, ActionCatalog.of(pipeline.journey)
    log = held_out_log(load_decisions(pipeline.ingested, journey, 0.5), journey)
    context = PolicyContext(journey, catalog, FeatureSpec.of(journey))
    policy = build_policy("always:send:womens_email@now", context)
    found = ips(log, target_on_log(log, policy, "womens", 65_536).taken)
    assert found.value == pytest.approx(file.ips(np.full(len(file.arm), WOMENS)), abs=1e-9)


@pytest.mark.parametrize(("policy", "arm"), [("drip", MENS), ("no_contact", NONE)])
@pytest.mark.parametrize("kind", ["snips", "dr"])
def test_arm_means_of_the_whole_file_lie_in_the_intervals(
    hillstrom: Finished, policy: str, arm: str, kind: str
) -> None:
    file = _Customers()
    low, high = hillstrom.interval(policy, kind)
    assert low < file.visit[file.arm == arm].mean() < high


def test_the_lottery_of_offers_is_worth_what_its_people_brought(offers: Finished) -> None:
    pipeline = offers.pipeline
    decisions = load_decisions(pipeline.ingested, pipeline.journey, 0.5)
    per_person = np.bincount(decisions.contact, decisions.reward)
    kept = np.unique(decisions.contact[decisions.held_out])
    logged = offers.evaluation["appraisal"]["evaluation"]["logged"]["estimate"]["value"]
    assert logged == pytest.approx(per_person[kept].mean(), abs=1e-9)
    assert len(per_person) == PEOPLE


def test_columns_that_know_the_future_are_named_and_not_read(offers: Finished) -> None:
    refused = offers.notes["refused_columns"]
    assert len(refused) >= 20
    assert any(name.startswith("total_") for name in refused)
    columns = json.loads((offers.pipeline.ingested / "decisions.json").read_text("utf-8"))
    assert not set(refused) & set(columns["feature_columns"])


def test_a_fixed_programme_of_six_offers_is_beyond_the_log(offers: Finished) -> None:
    assert offers.evaluation["appraisal"]["evaluation"]["reference"] == "logged"
    drip = offers.evaluation["appraisal"]["evaluation"]["policies"]["drip"]
    assert not drip["overlap"]["feasible"]
    assert drip["judgement"]["verdict"] == "cannot_tell_yet"


def test_people_are_the_clusters_of_the_walking_trial(heartsteps: Finished) -> None:
    found = heartsteps.evaluation["appraisal"]["evaluation"]
    assert found["n_clusters"] == heartsteps.evaluation["contacts"]["held_out"] == 18
    assert found["n_decisions"] > 4000  # each is judged by itself
    assert found["logged"]["interval"]["method"] == "skewed-t"  # 18 people, some of them heavy


def test_silence_in_the_walking_trial_is_worth_the_quiet_moments(heartsteps: Finished) -> None:
    pipeline = heartsteps.pipeline
    held_out = pipeline.settings.run.data.held_out
    rows = load_decisions(pipeline.ingested, pipeline.journey, held_out)
    kept = rows.held_out & rows.matured
    quiet = kept & (rows.action == ActionCatalog.of(pipeline.journey).wait)
    free = rows.mask.sum(axis=1) > 1
    weight = np.where(free[quiet], 1 / 0.4, 1.0)  # 0.4 to stay silent where one could be reached
    value = float((weight * rows.reward[quiet]).sum() / kept.sum())
    assert heartsteps.estimate("no_contact", "ips") == pytest.approx(value, abs=1e-9)


def test_a_few_dozen_people_do_not_decide_about_walking(heartsteps: Finished) -> None:
    for name in ("rules", "linear_thompson", "ppo"):
        judgement = heartsteps.evaluation["appraisal"]["evaluation"]["policies"][name]["judgement"]
        assert judgement["verdict"] == "cannot_tell_yet"
    assert heartsteps.gate["passed"] is False
