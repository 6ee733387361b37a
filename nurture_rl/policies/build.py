"""From a description, such as a configuration file holds, to a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features.spec import FeatureSpec
from nurture_envs.fields import Fields, hint
from nurture_envs.journey import Journey
from nurture_envs.journey_rules import read_rules
from nurture_rl.policies.composition import Floor, Mixture, TrustRegion
from nurture_rl.policies.locking import FREE_FACTORS, Locked
from nurture_rl.policies.policy import FloatArray, Policy, PolicyError, Spec
from nurture_rl.policies.program import DRIP, Drip, Rules
from nurture_rl.policies.references import (
    RANDOM_WEIGHTS,
    SLOW_WEIGHT,
    Always,
    Fixed,
    NoContact,
    Random,
)
from nurture_rl.policies.softmax import Softmax


@dataclass(frozen=True, slots=True, eq=False)
class PolicyContext:
    """What a description leaves to the place where it is used."""

    journey: Journey
    catalog: ActionCatalog
    feature_spec: FeatureSpec
    load_model: Callable[[str], Policy] | None = None  # a learned policy by its name


def build_policy(spec: Spec | str, context: PolicyContext) -> Policy:
    """Build the policy a description stands for.

    A plain text is short for a mapping: `drip` for {kind: drip}, `always:exit` for
    {kind: always, action: exit}.

    Args:
        spec: plain data with a `kind`, nested where policies are made of policies.
        context: the journey's catalogue, features and learned policies.

    Raises:
        PolicyError: an unknown kind, a missing, misspelt or impossible value; every problem of
            one level is listed under its dotted key.
        ActionError: an action id that the catalogue does not have.
        JourneyError: the journey's rules name a feature it does not have.
    """
    return _build(spec, context, "policy")


def known_kinds() -> tuple[str, ...]:
    """Every `kind` a description may have."""
    return tuple(sorted(_BUILDERS))


def _build(spec: object, context: PolicyContext, path: str) -> Policy:
    if isinstance(spec, str):
        word, _, action = spec.partition(":")
        spec = {"kind": word, "action": action} if action else {"kind": word}
    if not isinstance(spec, Mapping):
        raise PolicyError(f"{path}: expected a mapping with a kind, got {spec!r}")
    kind = str(spec.get("kind"))
    if kind not in _BUILDERS:
        raise PolicyError(
            f"{path}.kind: expected one of {', '.join(known_kinds())}, got {kind!r}"
            f"{hint(kind, known_kinds())}"
        )
    return _BUILDERS[kind](Fields(spec, path, [], {"kind"}), context)


def _require_read(f: Fields) -> None:
    """Refuse a description with problems, or with keys that its kind does not have."""
    f.finish()
    if f.problems:
        raise PolicyError("; ".join(f.problems))


def _nested(f: Fields, name: str, context: PolicyContext, default: str | None = None) -> Policy:
    f.seen.add(name)
    if name not in f.data and default is None:
        raise PolicyError(f"{f.key(name)}: expected a policy, it is missing")
    return _build(f.data.get(name, default), context, f.key(name))


def _weights(f: Fields) -> tuple[tuple[str, float], ...]:
    return tuple((str(name), f.number(name, low=0.0)) for name in f.data)


def _no_contact(f: Fields, context: PolicyContext) -> Policy:
    _require_read(f)
    return NoContact(context.catalog)


def _always(f: Fields, context: PolicyContext) -> Policy:
    action = f.text("action")
    _require_read(f)
    return Always(context.catalog, action)


def _random(f: Fields, context: PolicyContext) -> Policy:
    slow = {"slow": SLOW_WEIGHT} if context.catalog.routed("slow").any() else {}
    weights = _weights(f.mapping("weights", {**RANDOM_WEIGHTS, **slow}))
    _require_read(f)
    return Random(context.catalog, weights)


def _fixed(f: Fields, context: PolicyContext) -> Policy:
    probabilities = _weights(f.mapping("probabilities"))
    _require_read(f)
    return Fixed(context.catalog, probabilities)


def _drip(f: Fields, context: PolicyContext) -> Policy:
    _require_read(f)
    return Drip.of(context.journey, context.catalog, context.feature_spec)


def _rules(f: Fields, context: PolicyContext) -> Policy:
    if "rules" not in f.data:
        _require_read(f)
        return Rules.of(context.journey, context.catalog, context.feature_spec)
    rules = read_rules(f, "rules")
    otherwise = f.text("otherwise", DRIP)
    _require_read(f)
    return Rules.written(rules, otherwise, context.journey, context.catalog, context.feature_spec)


def _expert(f: Fields, context: PolicyContext) -> Policy:
    _require_read(f)
    return Rules.expert(context.journey, context.catalog, context.feature_spec)


def _mixture(f: Fields, context: PolicyContext) -> Policy:
    policy, other = _nested(f, "policy", context), _nested(f, "other", context)
    share = f.number("share", low=0.0, high=1.0)
    _require_read(f)
    return Mixture(policy, other, share)


def _locked(f: Fields, context: PolicyContext) -> Policy:
    policy, usual = _nested(f, "policy", context), _nested(f, "usual", context)
    free = f.text("free", among=FREE_FACTORS)
    _require_read(f)
    return Locked(context.catalog, policy, usual, free)


def _explore(f: Fields, context: PolicyContext) -> Policy:
    base, other = _nested(f, "base", context), _nested(f, "with", context, "random")
    share = f.number("share", low=0.0, high=1.0)
    _require_read(f)
    return Mixture(base, other, share)


def _trust_region(f: Fields, context: PolicyContext) -> Policy:
    policy, anchor = _nested(f, "policy", context), _nested(f, "anchor", context)
    max_ratio = f.number("max_ratio", low=1.0)
    explore = f.number("explore", 0.0, low=0.0, high=1.0)
    tilt = f.flag("tilt", False)
    _require_read(f)
    return TrustRegion(policy, anchor, max_ratio, explore, tilt)


def _softmax(f: Fields, context: PolicyContext) -> Policy:
    mean, scale, weights = (_numbers(f, name) for name in ("mean", "scale", "weights"))
    crowding = f.number("crowding")
    _require_read(f)
    if mean.shape != (len(context.feature_spec.columns),):
        raise PolicyError(
            f"{f.key('mean')}: expected {len(context.feature_spec.columns)} numbers, one per "
            f"feature column, got {mean.shape}; fit it on this journey's log"
        )
    return Softmax(context.catalog, mean, scale, weights, crowding)


def _numbers(f: Fields, name: str) -> FloatArray:
    f.seen.add(name)
    try:
        return np.array(f.data[name], np.float64)
    except (KeyError, TypeError, ValueError):
        f.problem(name, f"expected numbers, got {f.data.get(name)!r:.60}")
        return np.zeros(0)


def _floor(f: Fields, context: PolicyContext) -> Policy:
    policy = _nested(f, "policy", context)
    epsilon = f.number("epsilon", low=0.0, high=1.0 / len(context.catalog))
    _require_read(f)
    return Floor(policy, epsilon)


def _model(f: Fields, context: PolicyContext) -> Policy:
    name = f.text("name")
    _require_read(f)
    if context.load_model is None:
        raise PolicyError(
            f"{f.path}: model {name!r} is asked for where no learned policies are at hand; give "
            "the context a load_model"
        )
    model = context.load_model(name)
    if dict(model.spec()) != {"kind": "model", "name": name}:
        raise PolicyError(
            f"{f.path}: expected a model that calls itself {name!r}, got {dict(model.spec())}; "
            "load it under the name it was saved with"
        )
    return model


_BUILDERS: Mapping[str, Callable[[Fields, PolicyContext], Policy]] = {
    "always": _always,
    "drip": _drip,
    "expert": _expert,
    "explore": _explore,
    "fixed": _fixed,
    "floor": _floor,
    "locked": _locked,
    "mixture": _mixture,
    "model": _model,
    "no_contact": _no_contact,
    "random": _random,
    "rules": _rules,
    "softmax": _softmax,
    "trust_region": _trust_region,
}
