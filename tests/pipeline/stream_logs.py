"""Logs for the streaming engine of the verb `ope`, what is asked of them, and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hydra import compose, initialize_config_dir

from nurture_rl.appraisal.record import Appraisal
from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.streaming.moments import MomentsConfig
from nurture_rl.workflow.ope_config import OpeConfig, ope_settings
from nurture_rl.workflow.ope_data import opened_log
from nurture_rl.workflow.ope_log import OpenedLog
from nurture_rl.workflow.ope_sample import streams
from nurture_rl.workflow.ope_stream import appraised_stream, opened_stream
from nurture_rl.workflow.ope_verb import appraised, asked_of
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

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
        opened = opened_log(lambda: Pipeline(checked, lambda _: None), run)
        return opened, appraised(opened, run, checked.evaluation)
    opened, sampled = opened_stream(run)
    return appraised_stream(opened, sampled, run, asked_of(opened, run, checked.evaluation))


def run_of(overrides: list[str]) -> OpeConfig:
    """What the settings say."""
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        return ope_settings(compose("ope", overrides))[1]


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


def journey_rows(
    contacts: int = 400, seed: int = 0, paying: float = 0.1, bins: int = 5, steep: float = 0.4
) -> Columns:
    """Episodes of a softmax policy, one or two a contact, in no order."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(contacts), rng.integers(1, 3, contacts))
    length = rng.integers(max(bins - 2, 1), bins + 1, owner.size)
    episode = np.repeat(np.arange(owner.size), length)
    n = episode.size
    step = np.arange(n) - np.repeat(np.cumsum(length) - length, length)
    x = rng.normal(size=n).astype(np.float32)
    logging_policy = softmax(np.stack([0.0 * x, steep * x, -steep * x], axis=1))
    target = softmax(np.stack([0.0 * x, 0.2 - 0.5 * steep * x, steep * x], axis=1))
    arm = (rng.random((n, 1)) > logging_policy.cumsum(axis=1)).sum(axis=1).clip(max=2)
    paid = rng.choice([5.0, 20.0], n) * (rng.random(n) < paying * (1 + (arm == 1)))
    columns = {
        "number": 1000 + owner[episode],
        "who": 1000 + bucket_of((1000 + owner[episode]).astype(np.uint64), 64),
        "journey": 50_000 + episode,
        "bin": 2 * step,
        "arm": arm,
        "p": logging_policy[np.arange(n), arm],
        "paid": paid - 0.01 * arm,
        "x": x,
        "level": rng.integers(0, 3, n),
        **{f"l{k}": logging_policy[:, k] for k in range(3)},
        **{f"t{k}": target[:, k] for k in range(3)},
    }
    order = rng.permutation(n)
    return {name: values[order] for name, values in columns.items()}


def journey_settings(folder: Path, columns: Columns, *overrides: str) -> list[str]:
    """Settings that name a log of such episodes."""
    named = ["data.columns.episode=journey", "data.columns.step=bin", "data.discount=0.98"]
    return settings(folder, columns, *named, *overrides)


def differing_estimates(memory: Appraisal, streamed: Appraisal) -> list[str]:
    """Values, errors, overlap and differences that are apart by more than 1e-9 of the number."""
    first = dict(numbers(memory.to_dict()["evaluation"]))
    second = dict(numbers(streamed.to_dict()["evaluation"]))
    for absent in ("mrdr", "mips", "smis", "magic", "drl"):  # not among the streamed ones
        first = {at: one for at, one in first.items() if f".{absent}" not in at}
    assert set(first) == set(second)
    assert len(first) > 80
    return [
        f"{at}: {one!r} and {second[at]!r}"
        for at, one in first.items()
        if abs(one - second[at]) > 1e-9 * max(1.0, abs(one))
    ]
