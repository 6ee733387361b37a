"""`nurture predict` from a log to scores and a page, twice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.pipeline.in_process import Ended, nurture


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("predict")


def predicted(runs: Path, *words: str) -> Ended:
    return nurture("predict", "data.contacts=900", f"runs={runs}", "--json", *words)


SCORES = """
intent: {pricing_views_7d: 2, ever_asked: 1}
flags:
  wrong_persona: {signals: [replied_question], do: escalate}
  poor_fit: {when: {company_size: "< 3"}, do: "pause:3"}
reads: {intent: escalate}
"""


@pytest.fixture(scope="module")
def first(runs: Path) -> Ended:
    (runs / "scores.yaml").write_text(SCORES, "utf-8")
    return predicted(runs, "at=2026-05-04", f"scores={runs / 'scores.yaml'}")


def test_scores_are_chances_of_who_is_in_the_journey_then(first: Ended) -> None:
    assert first.code == 0, first.stderr
    made = json.loads(first.stdout)
    scores = pq.read_table(made["scores"])
    assert len(scores) == made["contacts"] > 50
    assert set(scores["step"].to_pylist()) <= set(range(14))
    chances = [name for name in scores.column_names if re.fullmatch(r"[a-z_]+_\d+d", name)]
    assert "ignore_7d" in chances
    assert not any(name.endswith("_90d") for name in chances)
    for name in chances:
        assert 0.0 <= pc.min(scores[name]).as_py() <= pc.max(scores[name]).as_py() <= 1.0


def test_the_record_and_the_page_say_what_cannot_be_told(first: Ended) -> None:
    page = Path(json.loads(first.stdout)["report"])
    told = json.loads((page.parent / "predictions.json").read_text("utf-8"))["told"]
    ninety = [one for one in told if one["horizon"] == 90.0]
    assert {one["told"] for one in ninety} == {False}
    text = page.read_text("utf-8")
    assert "no decision was watched for 90 days" in text
    assert "under the programme that made the log" in text
    assert "<svg" in text
    assert "convert_7d" in (page.parent / "predictions.md").read_text("utf-8")


def test_the_parts_of_a_chance_sum_to_it(first: Ended) -> None:
    made = json.loads(first.stdout)
    told = json.loads(Path(made["report"]).with_name("predictions.json").read_text("utf-8"))
    scores = pq.read_table(made["scores"]).to_pandas()
    name = told["parts_of"]
    parts = [column for column in scores if column.startswith(f"{name}.")]
    assert {"fit", "intent", "engagement", "base"} <= {one.rpartition(".")[2] for one in parts}
    known = scores[scores[name].notna()]
    assert np.allclose(known[parts].sum(axis=1), known[name], atol=1e-9)


def test_flags_are_raised_by_what_the_file_names_and_bound_to_its_actions(first: Ended) -> None:
    made = json.loads(first.stdout)
    scores = pq.read_table(made["scores"]).to_pandas()
    assert 0.0 < scores["poor_fit"].mean() < 0.5
    assert set(scores["wrong_persona"]) == {0.0, 1.0}
    told = json.loads(Path(made["report"]).with_name("predictions.json").read_text("utf-8"))
    bound = {one["score"]: one for one in told["bindings"]}
    assert bound["wrong_persona"]["read_by"] == ["action escalate"]
    assert bound["intent"]["verdict"] == "bound"
    assert bound["ignore_7d"]["verdict"].startswith("UNBOUND")
    page = Path(made["report"]).read_text("utf-8")
    assert "UNBOUND: nothing reads it, so it changes no decision" in page
    assert "affinity_pricing" in scores


def test_what_a_contact_might_do_changes_its_own_scores(runs: Path, first: Ended) -> None:
    scores = pq.read_table(json.loads(first.stdout)["scores"]).to_pandas()
    quiet = scores[(scores["step"] > 2) & (scores["intent"] == 0.0)]["contact_id"].iloc[0]
    file = f"scores={runs / 'scores.yaml'}"
    asked = predicted(runs, "at=2026-05-04", file, f"contact={quiet}", "what_if=[viewed_pricing:2]")
    assert asked.code == 0, asked.stderr
    told = json.loads(
        Path(json.loads(asked.stdout)["report"]).with_name("predictions.json").read_text("utf-8")
    )["what_if"]
    assert told["before"]["intent"] == 0.0
    assert told["after"]["intent"] == 4.0  # two views, each weighs 2
    assert told["after"]["convert_7d"] != told["before"]["convert_7d"]


def test_the_same_question_is_not_worked_on_again(runs: Path, first: Ended) -> None:
    again = predicted(runs, "at=2026-05-04", f"scores={runs / 'scores.yaml'}")
    assert json.loads(again.stdout)["scores"] == json.loads(first.stdout)["scores"]
    assert "predict: unchanged" in again.stderr


def test_when_nobody_is_in_the_journey_that_is_said(runs: Path, first: Ended) -> None:
    late = predicted(runs)
    assert json.loads(late.stdout)["contacts"] == 0
    page = Path(json.loads(late.stdout)["report"]).read_text("utf-8")
    assert "Nobody is in the journey then; the last decision was made at 2026-05" in page


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("horizons=[30,7]", "horizons: expected days above 0, each more than the one before"),
        ("aside=1", "aside: expected a share above 0 and below 1"),
        ("contact=somebody", "expected both contact=ID and what_if=[signal:number]"),
        ("scores=nowhere.yaml", "scores: nowhere.yaml cannot be read"),
        ("at=soon", "at: expected an instant such as 2026-06-01T00:00:00Z, or a day, got 'soon'"),
        ("at=2030-01-01", "at: expected a moment by which the log is complete"),
        ("at=2020-01-01", "no decision was made by 2019-12-31"),
    ],
)
def test_what_cannot_be_used_is_refused(runs: Path, first: Ended, word: str, says: str) -> None:
    ended = predicted(runs, word)
    assert ended.code == 2
    assert says in ended.stderr
