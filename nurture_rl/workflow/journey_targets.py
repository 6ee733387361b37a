"""Target policies of a journey's log that a configuration describes in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError, NurtureError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.policy_files import with_files

KINDS = ("always", "probabilities", "spec")


def journey_targets(targets: Mapping[str, Any], journey: Journey) -> dict[str, Policy]:
    """Every policy that `targets` describes.

    `always`: one action where it is legal. `probabilities` by action id, shared out among the legal
    ones. `spec`: any description of the policy language, or the path of a file that holds one.

    Raises:
        ConfigError: a description that cannot be followed; names the policy.
    """
    context = PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey))
    policies: dict[str, Policy] = {}
    for name, given in targets.items():
        if not isinstance(given, Mapping) or len(given) != 1 or next(iter(given)) not in KINDS:
            told = list(given) if isinstance(given, Mapping) else given
            raise ConfigError(
                f"targets.{name}: expected exactly one of {', '.join(KINDS)} on a journey's log, "
                f"got {told!r}"
            )
        ((kind, value),) = given.items()
        try:
            policies[name] = build_policy(_description(kind, value), context)
        except NurtureError as error:
            raise ConfigError(
                f"targets.{name}.{kind}: {error}; an id's colon in a mapping is written \\: on the "
                "command line"
            ) from error
    return policies


def _description(kind: str, value: Any) -> Any:
    if kind == "always":
        return {"kind": "always", "action": value}
    if kind == "probabilities":
        return {"kind": "fixed", "probabilities": value}
    return with_files(value)
