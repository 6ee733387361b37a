"""A score file's scores are held against what reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from nurture_envs.journey import Feature
from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.health.scores_health import scores_health
from nurture_rl.predictions.score_file import ScoreFile, read_score_file

JOURNEY = load_journey("inbound_lead")
SCORES = """
intent: {pricing_views_7d: 2}
flags:
  wrong_persona: {signals: [replied_question]DO}
"""


def contacts(*attributes: str) -> pa.Table:
    return pa.table({"attributes": pa.array(attributes, pa.string())})


def file(tmp_path: Path, text: str) -> ScoreFile:
    path = tmp_path / "scores.yaml"
    path.write_text(text, "utf-8")
    return read_score_file(path, JOURNEY)


@pytest.mark.parametrize("do", [True, False])
def test_a_declared_score_is_bound_by_an_action_alone(tmp_path: Path, do: bool) -> None:
    given = file(tmp_path, SCORES.replace("DO", ", do: escalate" if do else ""))
    (found,) = scores_health(contacts("{}"), JOURNEY, given)
    assert found.kind == "unbound scores"
    assert "nothing reads intent" in found.says
    assert ("wrong_persona" in found.says) is not do


def test_reads_and_features_bind(tmp_path: Path) -> None:
    bound = file(tmp_path, "intent: {pricing_views_7d: 2}\nreads: {intent: escalate}\n")
    assert not list(scores_health(contacts("{}"), JOURNEY, bound))
    reads = replace(
        JOURNEY,
        features=(*JOURNEY.features, Feature("warm", "attribute", attribute="intent")),
    )
    had = contacts('{"intent": 3}', "{}")
    assert not list(scores_health(had, reads, file(tmp_path, "intent: {pricing_views_7d: 2}")))


def test_a_score_among_attributes_is_told_with_how_many_have_it() -> None:
    had = contacts('{"convert_14d": 0.2, "company_size": 9}', '{"convert_14d": 0.1}', "{}")
    (found,) = scores_health(had, JOURNEY, ScoreFile({}))
    assert "convert_14d of 2 of 3 (66.7 %) contacts" in found.says
    assert "company_size" not in found.says
