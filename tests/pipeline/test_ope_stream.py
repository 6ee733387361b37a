"""Both engines of the verb `ope` on one log: the same numbers, refusals and reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from nurture_rl.errors import ConfigError, NurtureError, OverlapError, PropensityError
from nurture_rl.ope.checks.findings import Severity
from nurture_rl.workflow.ope_sample import streams
from nurture_rl.workflow.ope_verb import run_ope
from tests.checks import finding_of
from tests.pipeline.stream_logs import (
    ROOT,
    Columns,
    both,
    differing,
    judged,
    rows,
    run_of,
    settings,
)

LOGGED = "data.columns.logged_probabilities=[l0,l1,l2]"


@pytest.mark.parametrize(
    ("made", "overrides"),
    [
        pytest.param({}, (), id="small weights"),
        pytest.param({"steep": 1.8}, (), id="large weights"),
        pytest.param({"steep": 1.8}, (LOGGED,), id="whole distributions"),
        pytest.param({"paying": 0.004}, (), id="rare outcomes"),
        pytest.param({}, ("ask.reference=even",), id="another policy as reference"),
        pytest.param({}, ("ask.rules=even", "ask.basis=snips"), id="rules"),
        pytest.param({}, ("+targets.again.columns=[t0,t1,t2]", "ask.reference=new"), id="ties"),
        pytest.param({}, (LOGGED, "+targets.near.toward={policy: new, share: 0.3}"), id="a step"),
    ],
)
def test_both_engines_say_the_same_to_nine_digits(
    tmp_path: Path, made: dict[str, Any], overrides: tuple[str, ...]
) -> None:
    memory, streamed = both(tmp_path, rows(**made), *overrides)
    assert differing(memory, streamed) == []
    assert streamed.verdict is memory.verdict
    for name, policy in memory.evaluation.policies.items():
        told = streamed.evaluation.policies[name].judgement
        words = [None if one is None else one.verdict for one in (told, policy.judgement)]
        assert words[0] is words[1]


@pytest.mark.parametrize("overrides", [(), (LOGGED,)])
def test_a_pass_over_batches_gives_what_rests_on_weights_to_nine_digits(
    tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    small = ("stream.sample_rows=2000", "stream.batch_rows=300")
    memory, streamed = both(tmp_path, rows(steep=1.2), *small, *overrides)
    first, second = memory.evaluation, streamed.evaluation
    for name in ("new", "even"):
        mine, theirs = first.policies[name], second.policies[name]
        for kind in ("ips", "snips", "clipped_ips"):
            one, other = mine.estimates[kind], theirs.estimates[kind]
            assert other.estimate.value == pytest.approx(one.estimate.value, rel=1e-9)
            assert other.estimate.stderr == pytest.approx(one.estimate.stderr, rel=1e-9)
            assert other.interval.lower == pytest.approx(one.interval.lower, rel=1e-9)
            assert other.interval.upper == pytest.approx(one.interval.upper, rel=1e-9)
        # The reward model is another: of the sample. It moves the doubly robust value by less
        # than its error, and by something.
        robust = mine.estimates["dr"].estimate
        moved = abs(theirs.estimates["dr"].estimate.value - robust.value)
        assert 0.0 < moved < robust.stderr
        assert theirs.overlap.ess == pytest.approx(mine.overlap.ess, rel=1e-9)
        for code in ("ess", "weight-share", "mean-weight", "trajectory-weights"):
            here, there = memory.target_checks[name], streamed.target_checks[name]
            known, found = finding_of(here, code), finding_of(there, code)
            assert known is not None
            assert found is not None
            assert found.sentence == known.sentence


def test_what_is_of_a_sample_or_left_out_says_so(tmp_path: Path) -> None:
    _, streamed = both(tmp_path, rows(), "stream.sample_rows=2000")
    balance = finding_of(streamed.checks, "balance")
    assert balance is not None
    assert balance.sentence.endswith("(asked of 2,004 of 6,000 decisions, taken evenly)")
    assert "stream.engine=memory" in streamed.skipped["segments"]
    assert "in memory" in streamed.evaluation.policies["new"].refusals["mrdr"]


def test_the_report_names_the_engine(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    given += ["stream.batch_rows=500", "data.columns.decision=id"]
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        found = run_ope(compose("ope", given))
    document = json.loads((found.folder / "ope.json").read_text("utf-8"))
    line = document["log"]["notes"][0]
    assert line in (found.folder / "ope.md").read_text("utf-8")
    assert document["log"]["kept"] == 6000
    assert line.startswith("engine: streaming, 6,000 rows in 12 batches;")
    assert "1 of 64 ids" in line
    assert "2,004 of them" in line


def test_size_chooses_the_engine(tmp_path: Path) -> None:
    given = settings(tmp_path, rows())
    assert not streams(run_of(given))
    assert streams(run_of([*given, "stream.rows=6000"]))
    assert not streams(run_of([*given, "stream.rows=6001"]))
    assert not streams(run_of([*given, "stream.rows=6000", "stream.engine=memory"]))
    steps = ["data.columns.step=id"]
    assert not streams(run_of([*given, "stream.rows=6000", *steps]))
    with pytest.raises(ConfigError, match=r"stream.engine: streaming reads a Parquet table"):
        streams(run_of([*given, "stream.engine=streaming", *steps]))


def certain(columns: Columns) -> None:
    columns["p"] = np.ones_like(columns["p"])


def without_propensities(columns: Columns) -> None:
    columns["p"] = np.full_like(columns["p"], np.nan)


def beyond_one(columns: Columns) -> None:
    columns["p"] = columns["p"] + 1.0


@pytest.mark.parametrize("sample", [2000, 6000])
@pytest.mark.parametrize(
    ("spoil", "error", "match"),
    [
        (certain, OverlapError, "the log is deterministic"),
        (without_propensities, PropensityError, "missing propensity"),
        (beyond_one, PropensityError, "bad propensity"),
    ],
)
def test_a_log_that_is_refused_is_refused_by_both_by_name(
    tmp_path: Path, spoil: Any, error: type[NurtureError], match: str, sample: int
) -> None:
    columns = rows()
    spoil(columns)
    for engine in ("memory", "streaming"):
        given = settings(tmp_path, columns, f"stream.engine={engine}")
        with pytest.raises(error, match=match):
            judged([*given, f"stream.sample_rows={sample}"])


def test_wrong_propensities_withhold_the_verdict_in_both(tmp_path: Path) -> None:
    columns = rows()
    columns["p"] = np.where(columns["arm"] == 1, 0.5 * columns["p"], columns["p"])
    memory, streamed = both(tmp_path, columns, "stream.sample_rows=2000")
    for found in (memory, streamed):
        refused = {one.code for one in found.target_checks["new"].of(Severity.REFUSE)}
        assert {"mean-weight", "mean-weight-action"} <= refused
    first, second = (
        finding_of(found.target_checks["new"], "mean-weight-action") for found in (memory, streamed)
    )
    assert first is not None
    assert second is not None
    assert second.numbers["factor"] == pytest.approx(first.numbers["factor"], rel=1e-9)


def test_bad_rows_are_set_aside_with_the_same_reasons(tmp_path: Path) -> None:
    columns = rows()
    columns["p"][[100, 4100]] = np.nan
    columns["p"][2500] = 1.5
    columns["paid"][5000] = np.inf
    columns["t0"][3000] += 0.2
    arm = columns["arm"].astype(object)
    columns["arm"] = arm
    columns["arm"][1700] = None
    given = settings(tmp_path, columns)
    memory, _ = judged([*given, "stream.engine=memory"])
    streamed, _ = judged(
        [*given, "stream.engine=streaming", "stream.sample_rows=600", "stream.batch_rows=250"]
    )
    assert streamed.facts["refused"] == memory.facts["refused"] == 6
    assert streamed.facts["kept"] == memory.facts["kept"] == 5994
    assert streamed.refused == memory.refused
    assert streamed.facts["reasons"] == memory.facts["reasons"]


def test_too_many_bad_rows_stop_the_pass(tmp_path: Path) -> None:
    columns = rows()
    columns["p"][3050:3900] = np.nan  # none of them in the sample's first rows
    given = settings(tmp_path, columns, "stream.engine=streaming", "stream.sample_rows=300")
    given.append("stream.batch_rows=1000")
    with pytest.raises(PropensityError, match=r"850 of 4000 rows .* missing propensity"):
        judged(given)


def test_decisions_that_stand_in_the_log_twice_are_found(tmp_path: Path) -> None:
    columns = rows()
    columns["id"][3000:] = columns["id"][:3000]
    given = settings(tmp_path, columns, "data.columns.decision=id", "stream.engine=streaming")
    _, found = judged([*given, "stream.sample_rows=1000"])
    copies = finding_of(found.checks, "decision-copies")
    assert copies is not None
    assert copies.severity is Severity.REFUSE
    assert copies.numbers["copies"] * 64 == pytest.approx(3000, rel=0.5)
    assert found.verdict == "cannot_tell_yet"
