"""Small logs with one fault each, judged as a user would: the right answer, or one line why not.

Nobody's rows: each log was made for one fault. Values were worked out by hand or by the plain mean
of an arm.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from nurture_rl.errors import ConfigError, LogError, ProbabilityError
from nurture_rl.workflow.ope_verb import run_ope
from nurture_rl.workflow.settings_schema import register_schemas
from tests.pipeline.in_process import nurture
from tests.shared_faults import faulty_log

ROOT = Path(__file__).parents[2]
register_schemas()

FRAME = ["data=frame", "data.unit=EUR", "data.columns.action=arm", "data.columns.propensity=p"]
MADE = [*FRAME, "data.columns.contact=contact", "data.columns.reward=reward"]
PAID = [*FRAME, "data.columns.contact=customer", "data.columns.reward=paid"]
THREE = "data.actions=[none,offer,proof]"
OFFER = "+targets.offer.always=offer"


@dataclass(frozen=True)
class Answer:
    """What the verb left behind."""

    code: int
    told: dict[str, Any]  # ope.json
    text: str  # ope.md

    def policy(self, name: str) -> Any:
        return self.told["appraisal"]["evaluation"]["policies"][name]

    def value(self, name: str, kind: str) -> float:
        return float(self.policy(name)["estimates"][kind]["estimate"]["value"])

    def verdict(self, name: str) -> str:
        return str(self.policy(name)["judgement"]["verdict"])

    def interval(self, name: str) -> tuple[float, float, float]:
        found = self.policy(name)["difference"]
        ends = found["interval"]
        return tuple(round(one, 3) for one in (found["value"], ends["lower"], ends["upper"]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all: making an MLflow store takes longer than judging a small log."""
    return tmp_path_factory.mktemp("runs")


def asked(runs: Path, log: str, *settings: str) -> Answer:
    overrides = [f"data.path={faulty_log(log)}", f"runs={runs}", *settings]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        made = run_ope(compose("ope", overrides))
    told = json.loads((made.folder / "ope.json").read_text("utf-8"))
    return Answer(made.exit_code, told, (made.folder / "ope.md").read_text("utf-8"))


LEAKING = [
    *FRAME,
    "data.columns.contact=contact",
    "data.actions=[none,leaflet,call,visit]",
    "data.columns.reward=renewed",
    "+targets.visit.always=visit",
]


def test_a_feature_that_is_the_outcome_is_refused_by_its_name(runs: Path) -> None:
    found = asked(runs, "leaking_feature.csv", *LEAKING, "data.columns.features=[tenure,leak]")
    assert (found.code, found.verdict("visit")) == (4, "cannot_tell_yet")
    assert "leak" in found.policy("visit")["judgement"]["reason"]
    assert "tenure" not in found.policy("visit")["judgement"]["reason"]


def test_without_the_leaking_feature_the_policy_is_better(runs: Path) -> None:
    found = asked(runs, "leaking_feature.csv", *LEAKING, "data.columns.features=[tenure]")
    assert (found.code, found.interval("visit")) == (0, (0.140, 0.095, 0.185))
    assert found.value("visit", "snips") == pytest.approx(0.5104, abs=5e-5)  # the arm's mean


@pytest.mark.parametrize("digits", [4, 6, 7])
def test_thirds_give_one_answer_with_however_many_digits_they_are_written(
    runs: Path, digits: int
) -> None:
    found = asked(
        runs,
        f"thirds_{digits}_digits.csv",
        *MADE,
        "data.actions=[x,y,z]",
        "data.columns.features=[f]",
        "+targets.y.always=y",
    )
    assert (found.code, found.interval("y")) == (0, (0.089, 0.063, 0.115))


def test_a_policy_too_far_from_the_log_leaves_the_others_their_answer(runs: Path) -> None:
    found = asked(
        runs,
        "far_policy_overflow.csv",
        *MADE,
        "data.actions=[wait,send]",
        "data.columns.episode=episode",
        "data.columns.step=step",
        "+targets.far.columns=[far_wait,far_send]",
        "+targets.near.columns=[near_wait,near_send]",
    )
    assert found.verdict("far") == "cannot_tell_yet"
    # One contact's weight under `near` is 1e310, beyond 64 bits as well: said of it alone.
    assert found.verdict("near") == "cannot_tell_yet"


def test_one_policy_written_twice_does_not_differ_from_itself(runs: Path) -> None:
    found = asked(
        runs,
        "policy_twice.csv",
        *MADE,
        "data.actions=[a,b]",
        "+targets.q.columns=[q_a,q_b]",
        "+targets.s.columns=[s_a,s_b]",
        "ask.reference=s",
    )
    difference = found.policy("q")["difference"]
    ends = (difference["interval"]["lower"], difference["interval"]["upper"])
    assert (difference["value"], *ends) == (0.0, 0.0, 0.0)
    assert found.verdict("q") != "better"
    assert "the two act alike" in found.text
    assert "000000000" not in found.text


def test_rows_repeated_under_new_contacts_are_named_and_carry_no_verdict(runs: Path) -> None:
    found = asked(
        runs,
        "rows_twice_new_ids.csv",
        *MADE,
        "data.actions=[a,b]",
        "data.columns.features=[x]",
        "+targets.b.always=b",
    )
    contacts = found.told["appraisal"]["evaluation"]["n_clusters"]
    assert found.code == 4 or contacts == 600
    assert "repeat" in found.text


def test_a_propensity_twice_its_frequency_is_the_whole_answer(runs: Path) -> None:
    found = asked(
        runs,
        "propensity_doubled_for_one_arm.csv",
        *MADE,
        "data.actions=[control,letter,visit]",
        "+targets.visit.always=visit",
        "+targets.letter.always=letter",
    )
    assert found.code == 4
    assert "letter" in found.policy("visit")["judgement"]["reason"]
    settling = " ".join(found.told["appraisal"]["settling"])
    assert "contacts in all" not in settling
    assert "1765" not in found.text
    assert "1,765" not in found.text


def test_a_code_for_missing_is_named_with_the_setting_that_sets_it_aside(runs: Path) -> None:
    log = [*MADE, "data.actions=[a,b]", "+targets.b.always=b"]
    named = asked(runs, "code_for_missing.csv", *log)
    assert named.code == 4
    assert "data.missing=[-999]" in named.text
    coded = faulty_log("code_for_missing.csv").read_text("utf-8").count(",-999.0")
    assert coded > 0
    without = asked(runs, "code_for_missing.csv", *log, "data.missing=[-999]")
    (reason,) = without.told["log"]["reasons"]
    assert (reason["kind"], reason["rows"]) == ("missing reward", coded)
    assert without.value("b", "snips") > 0.0


def test_the_unharmed_log_is_worth_what_hands_worked_out(runs: Path) -> None:
    found = asked(runs, "base.csv", *PAID, THREE, OFFER)
    assert found.value("offer", "ips") == pytest.approx(2.0610, abs=5e-5)
    assert found.value("offer", "snips") == pytest.approx(1.9838, abs=5e-5)


def test_lines_that_end_in_a_carriage_return_say_the_same(runs: Path) -> None:
    found = asked(runs, "cr_line_ends.csv", *PAID, OFFER)
    assert found.told["log"]["kept"] == 1200
    assert found.value("offer", "ips") == pytest.approx(2.0610, abs=5e-5)


def test_rounded_distributions_are_read_and_it_is_said(runs: Path) -> None:
    uniform = [*PAID, THREE, "+targets.u.columns=[t0,t1,t2]"]
    found = asked(runs, "rounded_distributions.csv", *uniform)
    assert found.value("u", "ips") == pytest.approx(1.4904, abs=5e-5)
    assert "written with 6 decimals" in " ".join(found.told["log"]["notes"])
    assert found.told["log"]["refused"] == 0
    logged = "data.columns.logged_probabilities=[l0,l1,l2]"
    assert asked(runs, "rounded_distributions.csv", *uniform, logged).value(
        "u", "ips"
    ) == pytest.approx(1.4904, abs=5e-5)


def test_a_propensity_near_zero_is_no_verdict_and_no_traceback(runs: Path) -> None:
    found = asked(runs, "propensity_1e-8.csv", *PAID, OFFER)
    assert (found.code, found.verdict("offer")) == (4, "cannot_tell_yet")


def test_an_action_named_twice_is_refused(runs: Path) -> None:
    with pytest.raises(ConfigError, match=r"each action of base.csv once, got 'offer' more than"):
        asked(runs, "base.csv", *PAID, "data.actions=[none,offer,offer,proof]", OFFER)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("probabilities={offer: 0}", "an action with a weight above 0"),
        ("weights={offer: 0, none: 0}", "an action with a weight above 0"),
        ("probabilities={offer: 0.5}", "sum to 1, got a sum of 0.5"),
        ("probabilities={offer: 1.5, none: -0.5}", "must be >= 0"),
        ("uniform=false", "expected true"),
    ],
)
def test_a_target_that_is_no_distribution_is_refused(runs: Path, target: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        asked(runs, "base.csv", *PAID, THREE, f"+targets.a.{target}")


def test_a_column_of_actions_without_any_is_one_line(runs: Path) -> None:
    with pytest.raises(LogError, match=r"expected actions in column 'arm' .* got none in any of"):
        asked(runs, "action_all_empty.csv", *PAID, OFFER)


def test_a_graph_of_logits_is_no_policy(runs: Path) -> None:
    graph = f"+targets.new.file={faulty_log('logits.onnx')}"
    with pytest.raises(ProbabilityError, match=r"'new'.*row 0 .* does not sum to 1.*softmax"):
        asked(runs, "onnx_log.csv", *PAID, THREE, "data.columns.features=[large]", graph)


def test_contacts_without_a_number_are_not_one_person(runs: Path) -> None:
    with pytest.raises(LogError, match=r"750 of 1500 rows .*750 with missing contact"):
        asked(runs, "nan_contacts.npz", "data=obp")
    found = asked(runs, "nan_contacts.npz", "data=obp", "data.max_refused=0.5")
    assert found.told["appraisal"]["evaluation"]["n_clusters"] == 750


def test_a_sweep_judges_every_job_and_a_refused_one_neither_ends_it_nor_hides(
    tmp_path: Path,
) -> None:
    log = f"data.path={faulty_log('base.csv')}"
    asked_for = [log, f"runs={tmp_path}", *PAID, THREE, OFFER, "ask.estimators=[dr]"]
    done = nurture("ope", "--multirun", *asked_for, "seed=-1,0,1")
    assert done.code == 2, done.stderr[-2000:]
    assert len(list(tmp_path.glob("ope/*/ope.html"))) == 2
    refused = [line for line in done.stderr.splitlines() if line.startswith("ope: seed")]
    assert refused == ["ope: seed: expected a whole number from 0 to 2^63 - 1, got -1"]
    assert "Traceback" not in done.stderr
