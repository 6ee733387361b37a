"""What each arm of a randomised log is worth: its plain mean beside the estimators' answers.

No policy is learned here, so everybody's decisions may be used as well as the held-out ones.
"""

import sys
from pathlib import Path

import hydra
import numpy as np
from omegaconf import DictConfig

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_rl.appraisal.estimation import EvaluationConfig, evaluate_policies
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import NurtureError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

register_schemas()


def arms(pipeline: Pipeline, held_out: float) -> list[str]:
    """One line an arm; `held_out` is the share of contacts that are used."""
    journey = pipeline.journey
    catalog = ActionCatalog.of(journey)
    decisions = load_decisions(pipeline.ingested, journey, held_out)
    context = PolicyContext(journey, catalog, FeatureSpec.of(journey))
    policies = {name: build_policy(f"always:{name}", context) for name in catalog.ids}
    waiting = catalog.ids[catalog.wait]
    log = held_out_log(decisions, journey)
    rng = np.random.default_rng(pipeline.settings.run.seed)
    found = evaluate_policies(log, policies, waiting, rng, EvaluationConfig())
    used = decisions.held_out & decisions.matured
    free = used & (decisions.mask.sum(axis=1) > 1)
    share = free.sum() / used.sum()
    lines = [
        f"{found.n_clusters} contacts, {found.n_decisions} decisions, {share:.4f} with a choice"
    ]
    for position, name in enumerate(catalog.ids):
        mine = decisions.reward[free & (decisions.action == position)]
        policy = found.policies[name]
        numbers = " ".join(f"{k} {v.estimate.value:.5f}" for k, v in policy.estimates.items())
        line = f"  {name}: n {mine.size}, mean {mine.mean():.5f}; {numbers}"
        if policy.difference is not None:
            gap = policy.difference
            low, high = gap.interval.lower, gap.interval.upper
            line += f"; less {waiting} {gap.value:+.5f} [{low:+.5f}, {high:+.5f}]"
        lines.append(line)
    return lines


@hydra.main(
    version_base="1.3",
    config_path=str(Path(__file__).resolve().parents[2] / "configs"),
    config_name="pipeline",
)
def main(config: DictConfig) -> None:
    """Entry point of Hydra."""
    try:
        pipeline = Pipeline(settings(config), print)
        for held_out in (pipeline.settings.run.data.held_out, 1.0):
            print("\n".join(arms(pipeline, held_out)))
    except NurtureError as error:
        sys.exit(f"arms: {error}")


if __name__ == "__main__":
    main()
