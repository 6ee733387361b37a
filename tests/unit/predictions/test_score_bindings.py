"""A score is bound to what reads it; one that changes no decision is said to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Condition, Feature, Journey, Rule
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import ConfigError
from nurture_rl.predictions.score_bindings import CONSTANT, NOBODY, ScoreBinding, score_bindings
from nurture_rl.predictions.score_file import ScoreFile, default_groups, read_score_file

PLAIN = load_journey("inbound_lead")


def reading(threshold: float) -> Journey:
    """The journey with a rule that calls who is likely to book."""
    scored = Feature("booking", "attribute", attribute="convert_14d")
    rule = Rule((Condition("booking", ">=", threshold),), "escalate")
    return replace(PLAIN, features=(*PLAIN.features, scored), rules=(rule, *PLAIN.rules))


def bindings(journey: Journey, scores: np.ndarray) -> ScoreBinding:
    spec = FeatureSpec.of(journey)
    features = np.zeros((len(scores), len(spec.columns)), np.float32)

    def decide(rows: np.ndarray) -> np.ndarray:
        first = journey.rules[0].when[0]
        return (rows[:, spec.column(first.column)] >= first.threshold).astype(np.int64)

    named = {"convert_14d": scores}
    return score_bindings(named, journey, ScoreFile({}), features, decide)[0]


def test_a_rule_that_reads_a_score_is_named_with_the_decisions_it_changes() -> None:
    found = bindings(reading(0.25), np.array([0.1, 0.2, 0.2, 0.4]))
    assert found.bound
    assert found.read_by[0] == "rule 1 (escalate)"
    assert found.changed == 0.25  # the mean, 0.225, calls nobody; the fourth is called


def test_a_constant_score_changes_no_decision_and_is_unbound() -> None:
    found = bindings(reading(0.25), np.full(4, 0.3))
    assert (found.verdict, found.changed) == (CONSTANT, 0.0)


def test_a_score_that_nothing_reads_is_unbound() -> None:
    scores = {"convert_14d": np.array([0.1, 0.2])}
    found = score_bindings(scores, PLAIN, ScoreFile({}), np.zeros((2, 1), np.float32), None)[0]
    assert (found.verdict, found.read_by) == (NOBODY, ())


def test_a_score_file_binds_scores_and_flags_to_actions(tmp_path: Path) -> None:
    path = tmp_path / "scores.yaml"
    path.write_text(
        "reads: {fatigue: 'pause:3'}\n"
        "flags:\n"
        "  wrong_persona: {signals: [replied_question], do: escalate}\n"
        "  poor_fit: {when: {company_size: '< 1'}, do: 'pause:3'}\n"
        "intent: {pricing_views_7d: 2, ever_asked: 1.5}\n"
        "groups: {fit: [company_size, industry], wants: [pricing_views_7d]}\n"
    )
    file = read_score_file(path, PLAIN)
    scores = {name: np.array([0.0, 1.0]) for name in ("fatigue", "wrong_persona", "poor_fit")}
    found = score_bindings(scores, PLAIN, file, np.zeros((2, 1), np.float32), None)
    assert [one.read_by for one in found] == [
        ("action pause:3",),
        ("action escalate",),
        ("action pause:3",),
    ]
    assert file.intent == {"pricing_views_7d": 2.0, "ever_asked": 1.5}
    assert file.groups["fit"] == (
        "company_size",
        *(f"industry={name}" for name in ("software", "finance", "health", "retail")),
    )
    columns = [one for members in file.groups.values() for one in members]
    assert sorted(columns) == sorted(FeatureSpec.of(PLAIN).columns)


def test_every_mistake_of_a_score_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scores.yaml"
    path.write_text(
        "intents: {}\n"
        "groups: {fit: [compny_size]}\n"
        "intent: {ever_asked: much}\n"
        "reads: {fatigue: call}\n"
        "flags: {poor_fit: {signals: [lost], when: {company_size: 'under 2'}}}\n"
    )
    with pytest.raises(ConfigError) as refused:
        read_score_file(path, PLAIN)
    for part in (
        "intents: no such key",
        "no feature 'compny_size'",
        "intent.ever_asked: expected a number, got 'much'",
        "no action 'call'",
        "no signal 'lost'",
        "flags.poor_fit.when.company_size: expected such as '< 2', got 'under 2'",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flags: {convert: {signals: [replied_question]}}", "flags.convert: another score"),
        ("flags: {fatigue: {signals: [replied_question]}}", "flags.fatigue: another score"),
        ("flags: {convert_14d: {signals: [replied_question]}}", "flags.convert_14d: another"),
        ("flags: {cluster: {when: {company_size: '< 2'}}}", "flags.cluster: another score"),
        ("flags: {a: {signals: replied_question}}", "flags.a.signals: expected a list"),
        ("flags: {a: {signals: 3}}", "flags.a.signals: expected a list"),
        ("flags: {a: {when: {company_size: '< nan'}}}", "flags.a.when.company_size: expected"),
        ("groups: {base: [company_size]}", "groups.base: the chance of an average contact"),
        ("groups: {fit: [[company_size]]}", "groups.fit: no feature"),
        ("groups: {" + ", ".join(f"g{k}: []" for k in range(10)) + "}", "got 11"),
        ("intent: {company_size: .nan}", "intent.company_size: expected a number, got nan"),
        ("intent: {company_size: .inf}", "intent.company_size: expected a number, got inf"),
    ],
)
def test_what_would_make_wrong_scores_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_score_file(path, PLAIN)


def test_features_in_no_group_join_the_group_other_and_push_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "scores.yaml"
    path.write_text("groups: {fit: [industry], other: [company_size]}\n")
    groups = read_score_file(path, PLAIN).groups
    assert groups["other"][0] == "company_size"
    columns = [one for members in groups.values() for one in members]
    assert sorted(columns) == sorted(FeatureSpec.of(PLAIN).columns)


def test_groups_of_a_journey_hold_every_column_once() -> None:
    groups = default_groups(PLAIN)
    assert groups["fit"][0] == "company_size"
    assert "pricing_views_7d" in groups["intent"]
    assert "clicks_14d" in groups["engagement"]
    assert "stage=mql" in groups["outcomes"]
    columns = [one for members in groups.values() for one in members]
    assert sorted(columns) == sorted(FeatureSpec.of(PLAIN).columns)
