"""A policy that is truly better passes the gate, and no piece of evidence may be missing for it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nurture_rl.decisions import load_decisions
from nurture_rl.release.bundle import load_bundle
from nurture_rl.workflow import verb_runs
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.release import release
from nurture_rl.workflow.stages import Workshop
from tests.pipeline.two_mails import BAR, CANDIDATE

MAILS = ("mens_email", "womens_email")


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.mark.timeout(300)
def test_a_policy_that_is_truly_better_than_reference_and_bar_is_released(loop: Pipeline) -> None:
    made = read(loop.released / "gate.json")
    assert made["reasons"] == []
    assert (made["verdict"], made["passed"], made["exported"]) == ("released", True, CANDIDATE)
    assert made["bar"]["name"] == BAR
    bundle = load_bundle(loop.released / "bundle")
    assert bundle.policy_id == made["policy_id"]
    # It sends the mail that works for those who bought long ago, and the other to the rest.
    log = load_decisions(loop.ingested, loop.journey, 0.5)
    chance = bundle.policy.action_probabilities(log.features, log.mask)
    long_ago = log.features[:, bundle.feature_spec.columns.index("recency")] > 6.0
    mens, womens = (bundle.catalog.index(f"send:{mail}@now") for mail in MAILS)
    right = np.where(long_ago, chance[:, womens], chance[:, mens])
    assert right.mean() > 0.8


def test_the_trust_region_lies_around_what_the_log_says_of_itself(loop: Pipeline) -> None:
    assert loop.logging.distance == pytest.approx(0.0, abs=0.01)
    spec = load_bundle(loop.released / "bundle").spec
    assert spec["kind"] == "trust_region"
    assert spec["anchor"] == loop.logging.description
    assert spec["anchor"]["kind"] == "softmax"


Findings = dict[str, Any]


def by_log(found: Findings, name: str = CANDIDATE) -> Findings:
    policy: Findings = found["appraisal"]["evaluation"]["policies"][name]
    return policy


def in_world(found: Findings) -> Findings:
    policy: Findings = found["simulator"]["policies"][CANDIDATE]
    return policy


def distrusted(gap: Findings, trust: str) -> None:
    cause = {"cause": "leaked_feature", "number": 1.0, "threshold": 0.5, "sentence": "It knows."}
    cause |= {"symptom": False, "fatal": True}
    gap["verdict"] |= {"trust": trust, "causes": [cause]}


def no_gain_by_the_log(found: Findings, gap: Findings) -> None:
    by_log(found)["difference"]["interval"]["lower"] = -0.001


def no_estimate(found: Findings, gap: Findings) -> None:
    by_log(found)["difference"] = None


def no_gain_in_the_world(found: Findings, gap: Findings) -> None:
    in_world(found)["difference_lower"] = -0.001


def no_gain_in_the_worst_member(found: Findings, gap: Findings) -> None:
    distrusted(gap, "trust_for_training_with_ensemble")
    in_world(found)["worst"]["difference_lower"] = -0.001


def no_overlap(found: Findings, gap: Findings) -> None:
    by_log(found)["overlap"]["feasible"] = False


def undecided(found: Findings, gap: Findings) -> None:
    by_log(found)["judgement"]["verdict"] = "cannot_tell_yet"


def no_trust(found: Findings, gap: Findings) -> None:
    distrusted(gap, "do_not_trust")


def unsure_log(found: Findings, gap: Findings) -> None:
    by_log(found)["difference"]["interval"]["level"] = 0.9


def unsure_world(found: Findings, gap: Findings) -> None:
    in_world(found)["level"] = 0.9


def twin(found: Findings, gap: Findings) -> None:
    found["appraisal"]["candidates"] = []
    found["left_out"] = {CANDIDATE: "it acts as `drip` does"}


def beaten_by_a_program(found: Findings, gap: Findings) -> None:
    worse = copy.deepcopy(by_log(found)["difference"]) | {"value": -0.07}
    worse["interval"] |= {"lower": -0.11, "upper": -0.03, "level": 0.975}
    found["appraisal"]["over_programs"][CANDIDATE]["no_contact"] = worse


def refused_by_a_check(found: Findings, gap: Findings) -> None:
    for finding in found["appraisal"]["checks"]["findings"]:
        if finding["code"] == "mean-weight":
            finding["severity"] = "refuse"


def gain_of_the_bar(found: Findings, least: float) -> None:
    found["simulator"]["policies"][BAR]["difference_lower"] = least


def bar_by_the_log(found: Findings, gap: Findings) -> None:
    by_log(found)["against_rules"]["interval"]["lower"] = -0.001


def bar_in_the_world(found: Findings, gap: Findings) -> None:
    in_world(found)["over_bar"]["lower"] = -0.001


def bar_in_the_worst_member(found: Findings, gap: Findings) -> None:
    by_log(found, BAR)["overlap"]["feasible"] = False
    in_world(found)["over_bar"]["worst"]["lower"] = -0.001


def bar_by_the_logs_verdict(found: Findings, gap: Findings) -> None:
    by_log(found)["judgement"]["verdict"] = "rules_are_enough"


def asked_again(
    loop: Pipeline, folder: Path, change: Callable[[Findings, Findings], None]
) -> tuple[Findings, Path]:
    """The gate's record on the same run with one piece of its evidence changed."""
    found, gap = read(loop.evaluated / "evaluation.json"), read(loop.gap / "gap.json")
    change(found, gap)
    parts = {"evaluation": found, "gap": gap}
    for name, content in parts.items():
        (folder / f"{name}-changed").mkdir()
        (folder / f"{name}-changed" / f"{name}.json").write_text(json.dumps(content), "utf-8")
    made = release(
        Workshop(folder, lambda line: None),
        loop.journey,
        loop.resolved,
        loop.ingested,
        folder / "gap-changed",
        folder / "evaluation-changed",
        loop.policies,
    )
    return read(made / "gate.json"), made / "bundle"


@pytest.mark.parametrize(
    "change, said",
    [
        (no_gain_by_the_log, "less drip on held-out logs"),
        (no_estimate, "less drip on held-out logs is +nan"),
        (no_gain_in_the_world, "less drip in the simulator"),
        (no_gain_in_the_worst_member, "less drip in the ensemble's worst quantile"),
        (no_overlap, "The log cannot show"),
        (undecided, "cannot tell yet"),
        (no_trust, "must not be trusted (leaked_feature)"),
        (unsure_log, "on held-out logs holds with 90 % confidence"),
        (unsure_world, "in the simulator holds with 90 % confidence"),
        (beaten_by_a_program, "The log shows that a program that learned nothing earns more"),
        (twin, "it acts as `drip` does"),
        (refused_by_a_check, "The check 'mean-weight' refuses"),
    ],
)
def test_each_piece_of_evidence_alone_stops_a_release(
    loop: Pipeline, tmp_path: Path, change: Callable[[Findings, Findings], None], said: str
) -> None:
    made, bundle = asked_again(loop, tmp_path, change)
    assert (made["verdict"], made["passed"], made["exported"]) == ("refused", False, None)
    assert said in made["reasons"][0]
    assert not bundle.exists()


@pytest.mark.parametrize(
    "change, said",
    [
        (bar_by_the_log, "less rules on held-out logs"),
        (bar_in_the_world, "less rules in the simulator"),
        (bar_in_the_worst_member, "less rules in the ensemble's worst quantile"),
        (bar_by_the_logs_verdict, "Plain rules are enough"),
    ],
)
def test_a_candidate_not_shown_above_the_bar_leaves_the_bar_to_be_served(
    loop: Pipeline, tmp_path: Path, change: Callable[[Findings, Findings], None], said: str
) -> None:
    def and_the_bar_gains(found: Findings, gap: Findings) -> None:
        change(found, gap)
        gain_of_the_bar(found, 0.001)

    made, bundle = asked_again(loop, tmp_path, and_the_bar_gains)
    assert (made["verdict"], made["passed"], made["exported"]) == ("rules_are_enough", False, BAR)
    assert made["candidate"] == CANDIDATE
    (reason,) = made["reasons"]
    assert said in reason
    served = load_bundle(bundle)
    assert (served.policy_id, dict(served.spec)) == (made["policy_id"], {"kind": BAR})
    card = (bundle / "card.md").read_text("utf-8").splitlines()
    assert card[2].startswith("Rules are enough: no learned policy is shown")


def test_a_bar_not_shown_above_the_reference_leaves_everything_as_it_is(
    loop: Pipeline, tmp_path: Path
) -> None:
    def and_the_bar_gains_nothing(found: Findings, gap: Findings) -> None:
        bar_in_the_world(found, gap)
        gain_of_the_bar(found, 0.0)

    made, bundle = asked_again(loop, tmp_path, and_the_bar_gains_nothing)
    assert (made["verdict"], made["passed"], made["exported"]) == ("rules_are_enough", False, None)
    assert made["sentence"].endswith("so stay with `drip`.")
    assert not bundle.exists()


def test_nothing_changed_is_released_again(loop: Pipeline, tmp_path: Path) -> None:
    made, _ = asked_again(loop, tmp_path, lambda found, gap: None)  # negative control
    assert made["passed"]


class Tracked:
    """Stands in for the run that is tracked."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def artifact(self, path: Path, folder: str) -> None:
        assert path.is_file()

    def tag(self, name: str, value: str) -> None:
        self.tags[name] = value

    def bundle(self, path: Path, name: str) -> str:
        return f"models:/{name}"


def test_the_end_says_first_that_rules_are_enough_and_how_to_serve_them(
    loop: Pipeline, tmp_path: Path
) -> None:
    def and_the_bar_gains(found: Findings, gap: Findings) -> None:
        bar_in_the_world(found, gap)
        gain_of_the_bar(found, 0.001)

    _, bundle = asked_again(loop, tmp_path, and_the_bar_gains)
    parts = {name: getattr(loop, name) for name in ("settings", "ingested", "journey")}
    ended = SimpleNamespace(released=bundle.parent, **parts)
    tracked = Tracked()
    made = verb_runs._export(ended, tracked)  # type: ignore[arg-type]
    assert list(made)[:2] == ["gate", "verdict"]
    assert tracked.tags["gate"] == made["gate"] == "refused, rules are enough"
    assert made["verdict"].startswith("Rules are enough")
    assert str(bundle) in made["serve it with"]


def test_a_refusal_for_another_reason_ends_with_nothing_to_serve(
    loop: Pipeline, tmp_path: Path
) -> None:
    _, bundle = asked_again(loop, tmp_path, no_trust)
    ended = SimpleNamespace(settings=loop.settings, ingested=loop.ingested, released=bundle.parent)
    made = verb_runs._export(ended, Tracked())  # type: ignore[arg-type]
    assert made["gate"] == "refused"
    assert not {"verdict", "bundle", "serve it with"} & set(made)
