"""The verb `prices`: what limits on mails and harms cost, and a policy that keeps to them."""

from __future__ import annotations

import shlex
from dataclasses import asdict, fields, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from numpy.typing import NDArray

from nurture_envs.journey_file import load_journey
from nurture_rl.appraisal.price_findings import PriceFindings, Tried
from nurture_rl.codec import read_record, write_record
from nurture_rl.errors import ConfigError
from nurture_rl.learned.priced_reward import SEND, channels_of
from nurture_rl.report.prices_page import prices_markdown, prices_page
from nurture_rl.tracking.run import Run
from nurture_rl.workflow.judges import members_of
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.learners import NO_LEARNER
from nurture_rl.workflow.objective import log_objective
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.policy_stage import learned_policy
from nurture_rl.workflow.price_search import PriceSearch, found_prices
from nurture_rl.workflow.prices_config import PricesConfig
from nurture_rl.workflow.ranges import require_each
from nurture_rl.workflow.release_region import is_open
from nurture_rl.workflow.run_config import PolicyConfig, RunConfig
from nurture_rl.workflow.simulated import play_members
from nurture_rl.workflow.training import Training
from nurture_rl.workflow.use_limits import asked_limits

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings

PAGE = "prices.html"  # in the stage's folder, `prices.md` and `prices.json` beside it
_PROGRAMS = ("no_contact", "expert", "rules")  # what a mixture may hold beside the reference


def priced_part(pipeline: Pipeline, tracked: Run) -> dict[str, Any]:
    """Search, judge by the log, and write the page.

    Raises:
        ConfigError: bad settings of the search.
        FitError: nothing keeps to the limits.
    """
    asked = require_prices(pipeline.settings)
    page = _page(pipeline, asked)
    found = read_record(page / "prices.json", PriceFindings)
    for name in (PAGE, "prices.md", "prices.json"):
        tracked.artifact(page / name, "prices")
    numbers = {"best": found.best, "most": found.most}
    numbers |= {
        f"price.{one.name.replace(',', '')}": price
        for one, price in zip(found.limits, found.prices, strict=True)
    }
    tracked.metrics(0, {f"prices.{name}": value for name, value in numbers.items()})
    made: dict[str, Any] = {
        f"price of {one.name}": f"{price:.4g} {found.unit} per {one.counts}"
        for one, price in zip(found.limits, found.prices, strict=True)
    }
    made["keeps to the limits"] = found.is_kept
    command = export_line(pipeline, found)
    made |= {"ask the gate": command} if command else {}
    return made | {"report": page / PAGE}


def require_prices(checked: Settings) -> PricesConfig:
    """Guard the settings of a search, before any work.

    Raises:
        ConfigError: names the first that cannot be worked with.
    """
    run = checked.run
    if not isinstance(run, PricesConfig):
        raise ConfigError(f"expected a configuration made from prices_schema, got {run!r}")
    policy, journey = run.policy, load_journey(run.data.journey)
    if policy is None or policy.learner == NO_LEARNER:
        raise ConfigError("policy: expected one that is learned, such as policy=cql")
    if policy.prices:
        raise ConfigError(f"policy.prices: they are what is sought; leave {policy.prices} out")
    if is_open(policy.spec):
        raise ConfigError("data.trust.max_ratio: expected a number here, such as 4, got 'auto'")
    shares = all(0.0 < one < inf for one in run.frontier)
    require_each(
        (
            ("trainings", run.trainings, run.trainings >= 1, "1 or more"),
            ("tolerance", run.tolerance, 0.0 <= run.tolerance < 1.0, "a share from 0 to below 1"),
            ("frontier", list(run.frontier), shares, "shares above 0, such as [0.5,1,2]"),
        )
    )
    for name in (SEND, run.frontier_of):
        channels_of(journey, name, "frontier_of")
    nobody = np.zeros((1, len(journey.channels)))
    asked_limits(run, journey, nobody)
    return run


def _page(pipeline: Pipeline, asked: PricesConfig) -> Path:
    """The folder with the findings, as a record and a page."""
    assert asked.policy is not None
    task = pipeline.training_of(asked.policy.name)
    inputs = {
        "ingest": pipeline.ingested.name,
        "world": pipeline.world.name,
        "policy": asdict(task.policy),
        "reference": asdict(pipeline.resolved.run.policies[asked.release.reference])
        if asked.release.reference in pipeline.resolved.run.policies
        else asked.release.reference,
        "seeds": asdict(asked.seeds),
        "at_most": dict(asked.at_most),
        "weekly": [dict(asked.per_week), asked.entering, dict(asked.seller_hours)],
        "frontier": [asked.frontier_of, *asked.frontier],
        "search": [asked.trainings, asked.tolerance],
        "simulation": asdict(asked.simulation),
        "evaluation": asdict(pipeline.settings.evaluation),
        "release": asked.release.judging(),
        "held_out": asked.data.held_out,
        "journey": pipeline.journey.resolved,
    }
    return pipeline.workshop.stage("prices", inputs, partial(_written, pipeline, task, asked))


def _written(pipeline: Pipeline, task: Training, asked: PricesConfig, out: Path) -> None:
    programs = _programs(pipeline, task, asked.release.reference)
    reference = programs.get(asked.release.reference, programs["no_contact"])
    limits = asked_limits(asked, task.journey, _amounts(pipeline, reference))
    search = PriceSearch(
        workshop=pipeline.workshop,
        task=task,
        config=pipeline.settings.learners[task.policy.name],
        world=pipeline.world,
        run=pipeline.resolved,
        limits=limits,
        drawn=asked.frontier_of,
        entering=asked.entering,
    )
    known = [
        Tried(name, {}, search.played(folder), folder.name) for name, folder in programs.items()
    ]
    found = found_prices(search, known, asked.frontier, asked.trainings, asked.tolerance)
    by_log = _by_log(pipeline, found, programs)
    title = f"{task.journey.title}: {found.learner} on {asked.data.name}, seed {asked.seed}"
    command = export_line(pipeline, found)
    write_record(found, out / "prices.json")
    (out / PAGE).write_text(prices_page(found, title, by_log, command), "utf-8")
    (out / "prices.md").write_text(prices_markdown(found, title, by_log, command), "utf-8")


def _programs(pipeline: Pipeline, task: Training, reference: str) -> dict[str, Path]:
    """Folders of the written programs that a mixture may hold, nobody mailed first."""
    written = {name: PolicyConfig(name=name, spec={"kind": name}) for name in _PROGRAMS}
    if not task.journey.expert:
        del written["expert"]
    known = pipeline.resolved.run.policies
    if reference in known and known[reference].learner == "none":
        written[reference] = known[reference]
    return {
        name: learned_policy(pipeline.workshop, replace(task, policy=policy, world=None), None)
        for name, policy in written.items()
    }


def _amounts(pipeline: Pipeline, folder: Path) -> NDArray[np.float64]:
    """What each contact saw under the reference, [n, c]."""
    run, journey = pipeline.settings.run, pipeline.journey
    members = members_of(pipeline.world, journey)
    policy = load_policy(folder, journey)
    return play_members(members, policy, run.simulation.seeds, run.simulation.contacts).amounts


def _by_log(pipeline: Pipeline, found: PriceFindings, programs: dict[str, Path]) -> str:
    """The held-out contacts' word on the policy that was taken."""
    if found.chosen is None:
        return "Nothing was taken."
    run = pipeline.resolved.run
    folders = {found.policy: pipeline.workshop.root / "stages" / found.tried[found.chosen].folder}
    if run.release.reference in programs:
        folders[run.release.reference] = programs[run.release.reference]
    given = (pipeline.workshop, pipeline.journey, pipeline.resolved, pipeline.ingested, folders)
    objective = log_objective(*given)
    said = objective.sentence
    if objective.value is None:
        return f"{said[:1].upper()}{said[1:]}."
    return f"At least {objective.value:.3g} {found.unit}: {said}."


def export_line(pipeline: Pipeline, found: PriceFindings) -> str | None:
    """The command that asks the gate for the policy that was taken; None where none was.

    It repeats what was typed, but for the settings of the search. Prices are told to the last
    digit: so the very policy is asked for that was judged.
    """
    if found.chosen is None:
        return None
    prices = found.tried[found.chosen].prices
    words = [f"+policy.prices.{name}={price!r}" for name, price in prices.items()]
    return shlex.join(["nurture", "export", *_typed(pipeline), *words])


def _typed(pipeline: Pipeline) -> list[str]:
    """The settings that were typed, without those that only the search has."""
    own = {one.name for one in fields(PricesConfig)} - {one.name for one in fields(RunConfig)}
    given = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    kept = [word for word in given if word.lstrip("+~").partition("=")[0].split(".")[0] not in own]
    if any(word.startswith("policy=") for word in kept):
        return kept
    assert pipeline.settings.run.policy is not None
    return [*kept, f"policy={pipeline.settings.run.policy.name}"]
