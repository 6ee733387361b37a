"""Both engines of the verb `ope` on one log: the same numbers, refusals and reasons."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir

from nurture_rl.appraisal.record import Appraisal
from nurture_rl.errors import ConfigError, LogError, NurtureError, OverlapError, PropensityError
from nurture_rl.ope.checks.findings import Severity
from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.streaming.moments import MomentsConfig
from nurture_rl.workflow.ope_config import OpeConfig, ope_settings
from nurture_rl.workflow.ope_data import opened_log
from nurture_rl.workflow.ope_log import OpenedLog
from nurture_rl.workflow.ope_pass import pass_file
from nurture_rl.workflow.ope_sample import streams
from nurture_rl.workflow.ope_stream import appraised_stream, opened_stream
from nurture_rl.workflow.ope_verb import appraised, asked_of, run_ope
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from tests.checks import finding_of

ROOT = Path(__file__).parents[2]
register_schemas()
Columns = dict[str, Any]


def rows(n: int = 6000, seed: int = 0, steep: float = 0.5, paying: float = 0.2) -> Columns:
    """Decisions of a softmax policy; contacts are named as the buckets they are summed by."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n).astype(np.float32)
    logging_policy = softmax(np.stack([0.0 * x, steep * x, -steep * x], axis=1))
    target = softmax(np.stack([0.0 * x, 0.3 - steep * x, steep * x], axis=1))
    arm = (rng.random((n, 1)) > logging_policy.cumsum(axis=1)).sum(axis=1).clip(max=2)
    number = rng.integers(0, n // 3, n)
    bucket = bucket_of(number.astype(np.uint64), MomentsConfig().n_buckets)
    return {
        "id": np.arange(n),
        "number": number,
        "who": np.array([f"b{place:05d}" for place in bucket]),
        "arm": arm,
        "p": logging_policy[np.arange(n), arm],
        "paid": rng.choice([5.0, 20.0], n) * (rng.random(n) < paying * (1 + (arm == 1))),
        "x": x,
        "level": rng.integers(0, 3, n),
        **{f"l{k}": logging_policy[:, k] for k in range(3)},
        **{f"t{k}": target[:, k] for k in range(3)},
    }


def softmax(scores: np.ndarray) -> np.ndarray:
    raw = np.exp(scores.astype(np.float64))
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))


def settings(folder: Path, columns: Columns, *overrides: str) -> list[str]:
    """Settings that name a log of these columns in small row groups, and two target policies."""
    pq.write_table(pa.table(columns), folder / "log.parquet", row_group_size=1000)
    return [
        "data=frame",
        f"data.path={folder / 'log.parquet'}",
        f"runs={folder / 'runs'}",
        "data.unit=EUR",
        "data.actions=[0,1,2]",
        "data.columns.action=arm",
        "data.columns.propensity=p",
        "data.columns.reward=paid",
        "data.columns.contact=number",
        "data.columns.features=[x,level]",
        "+targets.new.columns=[t0,t1,t2]",
        "+targets.even.uniform=true",
        *overrides,
    ]


def judged(overrides: list[str]) -> tuple[OpenedLog, Appraisal]:
    """What the engine that the settings name says, without a report."""
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        checked, run = ope_settings(compose("ope", overrides))
    if not streams(run):
        opened = opened_log(Pipeline(checked, lambda _: None), run)
        return opened, appraised(opened, run, checked.evaluation)
    opened, sampled = opened_stream(run)
    return appraised_stream(opened, sampled, run, asked_of(opened, run, checked.evaluation))


def both(folder: Path, columns: Columns, *overrides: str) -> tuple[Appraisal, Appraisal]:
    """The engine in memory, which takes buckets for contacts, and the streaming one."""
    given = settings(folder, columns, *overrides)
    memory = judged([*given, "stream.engine=memory", "data.columns.contact=who"])[1]
    return memory, judged([*given, "stream.engine=streaming"])[1]


def numbers(found: Any, at: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a record by its place, but for counts of contacts and whole-log extras."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key not in ("n_clusters", "contacts_needed", "selection", "segments", "tails"):
                yield from numbers(value, f"{at}.{key}")
    elif isinstance(found, list):
        for place, value in enumerate(found):
            yield from numbers(value, f"{at}[{place}]")
    elif isinstance(found, int | float) and not isinstance(found, bool):
        yield at, float(found)


def differing(memory: Appraisal, streamed: Appraisal, without: tuple[str, ...] = ()) -> list[str]:
    """Places at which two appraisals differ by more than 1e-9 of the number."""
    first, second = dict(numbers(memory.to_dict())), dict(numbers(streamed.to_dict()))
    for absent in ("mrdr", "mips", "smis", "magic", *without):  # not among the streamed ones
        first = {at: one for at, one in first.items() if f".{absent}" not in at}
        second = {at: one for at, one in second.items() if f".{absent}" not in at}
    assert set(first) == set(second)
    assert len(first) > 300
    return [
        f"{at}: {one!r} and {second[at]!r}"
        for at, one in first.items()
        if abs(one - second[at]) > 1e-9 * max(1.0, abs(one))
    ]


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
    episodes = ["data.columns.episode=number", "data.columns.step=id"]
    assert not streams(run_of([*given, "stream.rows=6000", *episodes]))
    with pytest.raises(ConfigError, match=r"stream.engine: streaming sums single decisions"):
        streams(run_of([*given, "stream.engine=streaming", *episodes]))


def run_of(overrides: list[str]) -> OpeConfig:
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        return ope_settings(compose("ope", overrides))[1]


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


def test_a_killed_pass_goes_on_where_it_was(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(60_000), "stream.engine=streaming", "stream.sample_rows=2000")
    given.append("stream.batch_rows=1000")
    whole, _ = judged(given)
    script = "import sys; from tests.pipeline.test_ope_stream import slowly; slowly(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'envs'}"}
    child = subprocess.Popen([sys.executable, "-c", script, *given], cwd=ROOT, env=environment)
    kept = tmp_path / "runs" / "ope" / "streams"
    deadline = time.monotonic() + 300.0
    while not list(kept.glob("*.npz")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (file,) = kept.glob("*.npz")
    with np.load(file) as stored:
        done = json.loads(stored["head"].tobytes())["groups"]
    assert 0 < done < 60
    read: list[int] = []
    resumed, _ = judged_with(given, read)
    assert len(read) == 60 - done
    assert resumed.facts["fingerprint"] == whole.facts["fingerprint"]
    assert not list(kept.glob("*.npz"))


def slowly(overrides: list[str]) -> None:
    """A run that takes its time between row groups, to be killed."""
    from nurture_rl.workflow import ope_pass

    group = ope_pass._group

    def late(*given: Any) -> Any:
        time.sleep(0.2)
        return group(*given)

    pytest.MonkeyPatch().setattr(ope_pass, "_group", late)
    judged(overrides)


def judged_with(overrides: list[str], read: list[int]) -> tuple[OpenedLog, Appraisal]:
    """The same run, with the row groups it reads."""
    from nurture_rl.workflow import ope_pass

    group = ope_pass._group

    def noted(*given: Any) -> Any:
        read.extend(given[-1].numbers)
        return group(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ope_pass, "_group", noted)
        return judged(overrides)


def test_threads_and_the_size_of_batches_change_nothing(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    given.append("stream.batch_rows=1000")
    alone, first = judged([*given, "threads=1"])
    beside, second = judged([*given, "threads=3"])
    assert beside.facts["fingerprint"] == alone.facts["fingerprint"]
    assert second.to_dict() == first.to_dict()
    _, third = judged([*given[:-1], "stream.batch_rows=300"])
    assert differing(first, third) == []


@pytest.mark.parametrize(
    "other",
    ["targets.new.columns=[t0,t2,t1]", "data.max_refused=0.2", "stream.batch_rows=300", "seed=9"],
)
def test_progress_of_other_settings_is_another_file(tmp_path: Path, other: str) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    own = kept_in(given)
    assert kept_in(given) == own
    assert kept_in([*given, other]) != own


def test_progress_of_another_table_is_another_file(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    own = kept_in(given)
    settings(tmp_path, rows(seed=1))
    assert kept_in(given) != own


def kept_in(overrides: list[str]) -> Path:
    """Where a run keeps its progress."""
    run = run_of(overrides)
    return pass_file(opened_stream(run)[1], run)


def test_progress_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    given = settings(tmp_path, rows(), "stream.engine=streaming", "stream.sample_rows=2000")
    _opened, sampled = opened_stream(run_of(given))
    file = pass_file(sampled, run_of(given))
    file.parent.mkdir(parents=True)
    file.write_bytes(b"nothing of ours")
    with pytest.raises(LogError, match=r"expected the progress of an interrupted pass"):
        judged(given)
