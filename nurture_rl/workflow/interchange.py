"""From a pipeline's log or worlds to the files other libraries read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.console import Console
from threadpoolctl import threadpool_limits

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import utc_microseconds
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.decisions import Decisions, load_decisions
from nurture_rl.errors import ConfigError, FitError, LogError
from nurture_rl.features.bins import bin_log
from nurture_rl.features.query import feature_matrix
from nurture_rl.interchange.d3rlpy_files import write_d3rlpy
from nurture_rl.interchange.episodes import Episodes, Subject, episodes_of
from nurture_rl.interchange.minari_files import write_minari
from nurture_rl.interchange.played import played_episodes
from nurture_rl.ope.log import as_single_decisions, first_rows
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted, plural
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.held_out import evaluation_view, known_rows
from nurture_rl.workflow.interchange_config import (
    CONTACTS,
    EPISODES,
    FORMATS,
    InterchangeConfig,
)
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.run_config import PolicyConfig
from nurture_rl.workflow.world_stage import learned_simulation

Features = NDArray[np.float32]


def interchange(config: DictConfig) -> VerbResult:
    """The verb `interchange`."""
    return VerbResult({"written": run_interchange(config)})


def run_interchange(config: DictConfig) -> Path:
    """Write the episodes a configuration names; returns what was written.

    Raises:
        NurtureError: bad settings, no finished episode, a missing library.
    """
    checked = settings(config)
    run = checked.run
    if not isinstance(run, InterchangeConfig):
        raise ConfigError(f"expected a configuration made from interchange_schema, got {run!r}")
    for name, among in (("format", FORMATS), ("episodes", EPISODES), ("contacts", CONTACTS)):
        if getattr(run, name) not in among:
            raise ConfigError(
                f"{name}: expected one of {', '.join(among)}, got {getattr(run, name)!r}"
            )
    torch.set_num_threads(run.threads)
    console = Console(highlight=False, soft_wrap=True)
    pipeline = Pipeline(checked, partial(console.print, markup=False))
    with threadpool_limits(run.threads):
        episodes = _episodes(pipeline, run)
        written = _written(episodes, run)
    count, rows = episodes.log.n_episodes, episodes.log.n_rows
    told = f"{counted(count, 'episode')} of {counted(rows, 'decision')}"
    console.print(f"{told} {plural(count, 'is', 'are')} in {written}", markup=False)
    return written


def _written(episodes: Episodes, run: InterchangeConfig) -> Path:
    if episodes.log.estimated:
        raise LogError(
            "the propensities of this log are estimated, and episodes of other programs cannot say "
            "so; export episodes of a log that wrote its propensities down"
        )
    name, out = episodes.subject.journey.replace("-", "_"), Path(run.out).resolve()
    if run.format == "minari":
        return write_minari(episodes, out, f"{name}-v0", run.env_id)
    return write_d3rlpy(episodes, out / f"{name}.h5")


def _episodes(pipeline: Pipeline, run: InterchangeConfig) -> Episodes:
    if run.episodes == "log":
        held_out, zone = run.data.held_out, run.data.default_zone
        return logged_episodes(
            pipeline.ingested, pipeline.journey, held_out, zone, contacts=run.contacts
        )
    if run.policy is None:
        raise ConfigError("policy: name one that plays, such as policy=drip")
    if run.episodes == "learned":
        world = learned_simulation(pipeline.world, pipeline.journey).world
    else:
        world = reference_simulation(pipeline.journey).world
    return played_episodes(world, _player(pipeline, run.policy), run.played, run.seeds.log)


def _player(pipeline: Pipeline, policy: PolicyConfig) -> Policy:
    """The policy that plays; one that learns nothing waits for no log and no world."""
    journey = pipeline.journey
    if policy.learner != "none":
        return load_policy(pipeline.policies[policy.name], journey)
    context = PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey))
    return build_policy(policy.spec, context)


def logged_episodes(
    ingested: Path, journey: Journey, held_out: float, default_zone: str, contacts: str = "training"
) -> Episodes:
    """The finished episodes of an ingested log; decisions, where each is judged by itself.

    Args:
        ingested: folder of the ingest stage.
        journey: of the log.
        held_out: share of contacts kept for evaluation, in (0, 1).
        default_zone: where contacts of unknown time zone live.
        contacts: one of CONTACTS; what is trained on must not be judged on.

    Raises:
        FitError: no such contact's episode is over.
        PropensityError: a propensity is missing.
    """
    decisions = load_decisions(ingested, journey, held_out)
    following = _following(decisions, _after_episodes(ingested, journey, default_zone))
    side = {"training": ~decisions.held_out, "held_out": decisions.held_out}.get(contacts, True)
    rows = np.asarray(side & known_rows(decisions, journey))
    if not rows.any():
        raise FitError(
            f"no episode of the {contacts} contacts is over, so there is nothing to write; wait "
            "for the horizon to pass, or say until when the log is complete (data.complete_until)"
        )
    kept = decisions.take(rows)
    log = evaluation_view(kept, journey)
    log = replace(log, cluster=kept.cluster[first_rows(log)])  # as the whole log numbers them
    log = as_single_decisions(log) if journey.estimand == "per_decision" else log
    last = np.append(first_rows(log)[1:], log.n_rows) - 1
    return episodes_of(log, following[rows][last], Subject.of(journey))


def _following(decisions: Decisions, after: Features) -> Features:
    """What the decision after each would know, [N, d]: the next row, or the one after the last."""
    following = np.empty_like(decisions.features)
    following[:-1] = decisions.features[1:]
    last = np.flatnonzero(np.diff(decisions.episode, append=-1) != 0)
    following[last] = after
    return following


def _after_episodes(ingested: Path, journey: Journey, default_zone: str) -> Features:
    """Features at the start of the bin after each episode's last decision, [E, d].

    Episodes are in the order of their ids, as `load_decisions` numbers them.
    """
    spec = FeatureSpec.of(journey)
    events, contacts = (
        pq.read_table(ingested / "tables" / f"{kind}.parquet") for kind in ("events", "contacts")
    )
    last = _last_decisions(pq.read_table(ingested / "decision_table.parquet"))
    log = bin_log(events, contacts, last, journey, default_zone)
    step = log.times.step + 1
    begins = log.times.anchor_us + spec.clock.start_us(step)
    zones = log.contacts.zones[log.times.contact].astype(str)
    times = replace(
        log.times, step=step, decided_us=utc_microseconds(begins, zones), decided_local_us=begins
    )
    return feature_matrix(replace(log, times=times), spec)


def _last_decisions(table: pa.Table) -> pa.Table:
    """The last decision of each episode, sorted by episode id."""
    names = np.asarray(table["episode_id"].to_numpy(zero_copy_only=False)).astype(str)
    order = np.lexsort((np.asarray(table["step"].to_numpy()), names))
    sorted_names: NDArray[Any] = names[order]
    ends = np.flatnonzero(np.append(sorted_names[1:] != sorted_names[:-1], True))
    return table.take(pa.array(order[ends]))
