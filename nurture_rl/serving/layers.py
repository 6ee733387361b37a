"""Who is asked for a contact: the learned policy, where it fails the journey's rules, then a pause.

Every layer has a policy id of its own, so the log says which one decided, and how likely.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import NurtureError, ProbabilityError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.locking import Locked
from nurture_rl.policies.policy import Policy, check_probabilities
from nurture_rl.policies.program import Rules
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.arm_records import Deal
from nurture_rl.serving.company import in_any_company
from nurture_rl.serving.roles import SwitchTo

FAIL_CLOSED = "fail_closed"  # policy id of a pause that a failure forced
PAUSED = "paused"  # policy id of a pause that the switch asks for
ARM = "policy"
HELD_OUT = "holdout"  # the arm that gets nothing
CANARY = "canary:"  # so begin the arms of canaries
NO_STAGE = "none"  # how the switch calls contacts who have entered no stage
STAGE_ON_RULES = "the switch of stage "  # so begin the notes of decisions for whom it stands so

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A policy and the id that its decisions carry."""

    policy_id: str
    policy: Policy


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Layers that are asked one after the other; where none answers, a pause."""

    arm: str
    layers: tuple[Layer, ...]
    pause_id: str = FAIL_CLOSED  # policy id of that pause
    why: str | None = None  # the learned policy is not asked
    stages: Mapping[str, int] = field(default_factory=dict)  # stage -> its feature column
    by_stage: Mapping[str, Line] = field(default_factory=dict)  # stage -> who is asked in place
    deal: Deal | None = None  # None: its contacts were dealt to no arm
    ghost: Line | None = None  # who else is asked, and not followed

    def at(self, features: NDArray[np.float32]) -> Line:
        """Who is asked for a contact, by the stage that it entered last.

        Args:
            features: of the contact, [d].
        """
        if not self.by_stage:
            return self
        entered = (name for name, column in self.stages.items() if features[column] > 0.5)
        return self.by_stage.get(next(entered, NO_STAGE), self)


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Probabilities for contacts, and who gave them."""

    policy_id: str
    table: NDArray[np.float64]  # [n, a]
    note: str | None  # why the first layer was not followed


def line_of(
    bundle: Bundle,
    switch: SwitchTo = "learned",
    arm: str = ARM,
    rules_in: Sequence[str] = (),
    rules_of: Bundle | None = None,
    layers: Sequence[Layer] | None = None,
) -> Line:
    """The layers of a bundle that the switch lets decide.

    Args:
        bundle: its policy, and the rules of its journey.
        switch: `rules` leaves the policy out, `pause` all layers.
        arm: of the decisions.
        rules_in: stages in which the policy is left out, and the rules decide.
        rules_of: whose rules these are; None: the bundle's own.
        layers: who is asked where the switch leaves nobody out; None: the policy, then the rules.
    """
    if switch == "learned":
        rules = _rules(rules_of or bundle)
        by_stage = {
            name: Line(arm, rules, why=f"{STAGE_ON_RULES}{name} stands at rules")
            for name in rules_in
        }
        asked = (Layer(bundle.policy_id, bundle.policy), *_rules(bundle))
        asked = asked if layers is None else tuple(layers)
        return Line(arm, asked, stages=stages_of(bundle), by_stage=by_stage)
    why = f"the switch stands at {switch}"
    if switch == "rules":
        return Line(arm, _rules(bundle), why=why)
    return Line(arm, (), PAUSED, why)


def canary_arm(policy_id: str) -> str:
    """The arm of decisions for contacts whom a canary has."""
    return f"{CANARY}{policy_id}"


def stages_of(bundle: Bundle) -> Mapping[str, int]:
    """Stages of a bundle's journey, each with the feature column that tells who entered it last.

    Empty where no feature of the journey tells it.
    """
    spec = bundle.feature_spec
    told = (feature for feature in spec.features if feature.kind == "stage")
    feature = next(told, None)
    if feature is None:
        return {}
    return {name: spec.column(f"{feature.name}={name}") for name, _ in feature.stages}


def is_as_asked(note: str | None) -> bool:
    """Whether a decision's note says of no failure: there is none, or a stage is on rules."""
    return note is None or (note.startswith(STAGE_ON_RULES) and ";" not in note)


def layer_named(bundle: Bundle, policy_id: str) -> Layer | None:
    """The layer of a bundle that has a policy id; None: it has none of that id."""
    if policy_id == bundle.policy_id:
        return Layer(bundle.policy_id, bundle.policy)
    of_arms = (layer for layers in arm_layers(bundle).values() for layer in layers)
    known = (*_rules(bundle), *of_arms)
    return next((one for one in known if one.policy_id == policy_id), None)


@lru_cache(maxsize=32)
def arm_layers(bundle: Bundle) -> Mapping[str, tuple[Layer, ...]]:
    """Who is asked in each arm of the experiment of a bundle's journey; empty: there is none.

    A layer has the policy id that a bundle of it alone would have.

    Raises:
        NurtureError: the journey's business as usual cannot be built.
    """
    experiment = bundle.journey.experiment
    if experiment is None:
        return {}
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    usual, random, nothing = (
        Layer(bundle.manifest.id_of(policy.spec()), policy)
        for policy in (build_policy(k, context) for k in (experiment.usual, "random", "no_contact"))
    )
    rules, own = _rules(bundle), [Layer(bundle.policy_id, bundle.policy)]
    if experiment.free is not None:
        locked = Locked(bundle.catalog, bundle.policy, usual.policy, experiment.free)
        spec = {**locked.spec(), "policy": bundle.spec}
        own = [Layer(bundle.manifest.id_of(spec, with_model=True), locked), usual]
    return {
        "policy": (*own, *rules),
        "random": (random, *rules),
        "usual": (usual,),
        HELD_OUT: (nothing,),
    }


def chosen(
    line: Line, features: NDArray[np.float32], mask: NDArray[np.bool_], wait: int
) -> list[Chosen]:
    """What the first layer says of each contact that answers with probabilities for it.

    Where none does it is a pause. A contact's answer is the one that it would get alone.

    Args:
        line: who is asked.
        features: of the contacts, [n, d].
        mask: True where legal, [n, a].
        wait: position of `pause:1`, which is always legal.

    Returns:
        One for all contacts, or one for each.
    """
    if len(mask) == 1 or not line.layers:
        return [_chosen(line, features, mask, wait)]
    first, note = line.layers[0], line.why
    try:
        return [Chosen(first.policy_id, probabilities(first.policy, features, mask), note)]
    except Exception:  # whatever a model raises: of whom, and who decides then, is asked one by one
        return [
            _chosen(line, features[row : row + 1], mask[row : row + 1], wait)
            for row in range(len(mask))
        ]


def _chosen(
    line: Line, features: NDArray[np.float32], mask: NDArray[np.bool_], wait: int
) -> Chosen:
    notes = [] if line.why is None else [line.why]
    for layer in line.layers:
        try:
            table = probabilities(layer.policy, features, mask)
        except Exception as error:  # whatever a model raises, the next layer decides
            _log.exception("policy %s failed", layer.policy_id)
            notes.append(f"policy {layer.policy_id} failed: {type(error).__name__}: {error}")
        else:
            return Chosen(layer.policy_id, table, "; ".join(notes) or None)
    table = np.zeros((len(mask), mask.shape[1]))
    table[:, wait] = 1.0
    return Chosen(line.pause_id, table, "; ".join(notes) or None)


def probabilities(
    policy: Policy, features: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Probabilities of a policy, checked; those of a contact are the same in any company, [n, a].

    Raises:
        ProbabilityError: a feature is not finite, or what the policy gives is no distribution
            over the legal actions.
        Exception: whatever the policy raises.
    """
    if not np.isfinite(features).all():
        raise ProbabilityError("expected finite features, got one that is not; see the contact")
    # Sums of rows that lie otherwise in memory are rounded otherwise.
    features, mask = np.ascontiguousarray(features), np.ascontiguousarray(mask)
    table = in_any_company(policy, features, mask)
    check_probabilities(table, mask)
    return table


@lru_cache(maxsize=32)
def _rules(bundle: Bundle) -> tuple[Layer, ...]:
    """The rules of a bundle's journey, under the id that a bundle of them alone would have."""
    try:
        rules = Rules.of(bundle.journey, bundle.catalog, bundle.feature_spec)
    except NurtureError as error:
        _log.warning("journey %s has no rules to fall back to: %s", bundle.journey.name, error)
        return ()
    return (Layer(bundle.manifest.rules_id, rules),)
