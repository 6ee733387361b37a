"""Target policies of a log without a journey: from columns, files, or one line of a description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.fields import hint
from nurture_rl.errors import ConfigError
from nurture_rl.interchange.admission import Admission
from nurture_rl.interchange.rounding import sums_to_one
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy, target_on_log
from nurture_rl.policies.policy import normalised
from nurture_rl.wording import counted

FloatArray = NDArray[np.float64]
KINDS = ("columns", "always", "probabilities", "weights", "uniform", "file", "toward")


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """Fixed weights over the actions, shared out among the legal ones of each decision."""

    weights: FloatArray  # >= 0, [a]

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_], /
    ) -> FloatArray:
        """Each legal action's share of the legal weight; alike where none has any, [n, a]."""
        dead = self.undefined(mask)
        return normalised(np.where(dead[:, None], 1.0, self.weights), mask)

    def undefined(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The rows in which no action with any weight is legal, [n]."""
        return np.asarray((self.weights * mask).sum(axis=1) <= 0.0)


def where_undefined(
    policies: Mapping[str, TargetPolicy | TabulatedPolicy], admission: Admission
) -> tuple[str, ...]:
    """A note for each policy that has rows in which it takes all legal actions alike."""
    notes = []
    for name, policy in policies.items():
        rows = policy.undefined(admission.log.mask).sum() if isinstance(policy, Weighted) else 0
        if rows:
            notes.append(
                f"in {rows} of {admission.log.n_rows} decisions no action of policy {name!r} is "
                "legal: there it takes the legal ones alike"
            )
    return tuple(notes)


def columns_of(targets: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The columns of the policies that are given as columns, by policy.

    Raises:
        ConfigError: a description of no known kind.
    """
    columns = {}
    for name, spec in targets.items():
        kind, value = _kind(name, spec)
        if kind == "columns":
            if not isinstance(value, str | list | tuple) or not value:
                raise ConfigError(
                    f"targets.{name}.columns: expected a column of each action's probability, or "
                    f"one of lists, got {value!r}"
                )
            columns[name] = (value,) if isinstance(value, str) else tuple(map(str, value))
    return columns


def target_policies(
    targets: Mapping[str, Any], admission: Admission
) -> dict[str, TargetPolicy | TabulatedPolicy]:
    """Every policy a configuration describes.

    `columns`: probability columns of the table. `always`: one action where it is legal.
    `probabilities` by action, which sum to 1; `weights` by action, which need not; both are shared
    out among the legal ones. `uniform: true`. `file`: an ONNX graph from features [n, d]
    and mask [n, a] to probabilities. `toward: {policy: NAME, share: s}`: the logging policy with a
    step of size s toward another target; needs the whole logged distribution.

    Raises:
        ConfigError: a description that cannot be followed; names the policy.
        BundleError: a file that is no such graph.
    """
    policies: dict[str, TargetPolicy | TabulatedPolicy] = {
        name: TabulatedPolicy(table) for name, table in admission.targets.items()
    }
    later: dict[str, Any] = {}
    for name, spec in targets.items():
        kind, value = _kind(name, spec)
        if kind == "toward":
            later[name] = value
        elif kind != "columns":
            policies[name] = _built(name, kind, value, admission)
    for name, value in later.items():
        policies[name] = _toward(name, value, policies, admission)
    return {name: policies[name] for name in (*admission.targets, *targets) if name in policies}


def on_batch(
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    targets: Mapping[str, Any],
    batch: Admission,
) -> dict[str, FloatArray]:
    """Probabilities of the policies on another part of the log they were described for.

    Args:
        policies: of `target_policies` on one part.
        targets: their descriptions.
        batch: the other part.

    Returns:
        By policy, [n, a] each.

    Raises:
        ProbabilityError, ShapeError: a policy's answer is no distribution over legal actions.
    """
    built: dict[str, TargetPolicy | TabulatedPolicy] = {
        name: policy for name, policy in policies.items() if not isinstance(policy, TabulatedPolicy)
    }
    built |= {name: TabulatedPolicy(table) for name, table in batch.targets.items()}
    for name in policies:
        if name not in built:  # a step from what was logged is of the rows at hand
            built[name] = _toward(name, _kind(name, targets[name])[1], built, batch)
    return {name: _answer(name, built[name], name in batch.targets, batch) for name in policies}


def _answer(
    name: str, policy: TargetPolicy | TabulatedPolicy, checked: bool, batch: Admission
) -> FloatArray:
    """A policy's probabilities; what came in columns was checked at the door."""
    if checked and isinstance(policy, TabulatedPolicy):
        return policy.probabilities
    return target_on_log(batch.log, policy, name, batch.log.n_rows).probabilities


def _kind(name: str, spec: Any) -> tuple[str, Any]:
    if isinstance(spec, str):
        spec = {"uniform": True} if spec == "uniform" else {"always": spec}
    if not isinstance(spec, Mapping) or len(spec) != 1 or next(iter(spec)) not in KINDS:
        given = list(spec) if isinstance(spec, Mapping) else spec
        near = hint(str(given[0]), KINDS) if isinstance(given, list) and given else ""
        raise ConfigError(
            f"targets.{name}: expected exactly one of {', '.join(KINDS)}, got {given!r}{near}"
        )
    return str(next(iter(spec))), next(iter(spec.values()))


def _built(name: str, kind: str, value: Any, admission: Admission) -> TargetPolicy:
    actions = admission.meaning.actions
    if kind == "uniform":
        if value is not True:
            raise ConfigError(f"targets.{name}.uniform: expected true, got {value!r}")
        return Weighted(np.ones(len(actions)))
    if kind == "always":
        return Weighted(_weights(name, {str(value): 1.0}, actions))
    if kind in ("probabilities", "weights"):
        if not isinstance(value, Mapping):
            raise ConfigError(f"targets.{name}.{kind}: expected {kind} by action, got {value!r}")
        weights = _weights(name, value, actions)
        if kind == "probabilities" and not sums_to_one(weights[None, :])[0]:
            raise ConfigError(
                f"targets.{name}.probabilities: expected probabilities that sum to 1, got a sum of "
                f"{weights.sum():.6g}; name every action's share, or say weights= for weights"
            )
        return Weighted(weights)
    path = Path(str(value))
    if path.suffix != ".onnx" or not path.is_file():
        raise ConfigError(
            f"targets.{name}.file: expected an ONNX file of a graph from features and mask to "
            f"probabilities, got {value!r}; a policy in another form goes in as columns"
        )
    from nurture_rl.release.onnx_policy import OnnxPolicy  # its runtime takes long to load

    policy = OnnxPolicy.load(path.read_bytes(), name)
    shape = (admission.log.features.shape[1], admission.log.n_actions)
    if (policy.n_features, policy.n_actions) != shape:
        raise ConfigError(
            f"targets.{name}.file: the graph takes {counted(policy.n_features, 'feature')} and "
            f"{counted(policy.n_actions, 'action')}, the log has {shape[0]} and {shape[1]}; name "
            "the features and actions it was trained with, in its order"
        )
    return policy


def _weights(name: str, given: Mapping[Any, Any], actions: tuple[str, ...]) -> FloatArray:
    weights = {
        str(action): _number(f"targets.{name}: the weight of {str(action)!r}", weight)
        for action, weight in given.items()
    }
    for action, weight in weights.items():
        if action not in actions:
            raise ConfigError(
                f"targets.{name}: {action!r} is none of the log's actions "
                f"{', '.join(actions)}{hint(action, actions)}"
            )
        if not 0.0 <= weight < np.inf:
            raise ConfigError(
                f"targets.{name}: the weight of {action!r} must be >= 0, got {weight}"
            )
    if not any(weights.values()):
        raise ConfigError(
            f"targets.{name}: expected an action with a weight above 0, got {dict(given)}; a "
            "policy takes some action"
        )
    return np.array([weights.get(action, 0.0) for action in actions])


def _number(what: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ConfigError(f"{what} must be a number, got {value!r}")


def _toward(
    name: str,
    value: Any,
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    admission: Admission,
) -> TabulatedPolicy:
    log = admission.log
    if not isinstance(value, Mapping) or set(value) != {"policy", "share"}:
        raise ConfigError(f"targets.{name}.toward: expected policy and share, got {value!r}")
    share = _number(f"targets.{name}.toward: the share", value["share"])
    if value["policy"] not in policies or not 0.0 <= share <= 1.0:
        raise ConfigError(
            f"targets.{name}.toward: expected a policy among {', '.join(policies)} and a share in "
            f"[0, 1], got {dict(value)}"
        )
    if log.logged_probabilities is None:
        raise ConfigError(
            f"targets.{name}.toward: a step from the logging policy needs its whole distribution; "
            "name data.columns.logged_probabilities"
        )
    goal = target_on_log(log, policies[value["policy"]], str(value["policy"]), 65_536).probabilities
    return TabulatedPolicy((1.0 - share) * log.logged_probabilities + share * goal)
