"""How much there is to understand in a policy, by what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk.harm_limits import broken
from nurture_rl.appraisal.selection.simplest import Complexity, simplest
from nurture_rl.appraisal.selection.simultaneous import Family
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.policies.composition import TrustRegion, unheld
from nurture_rl.policies.program import Drip, Rules
from nurture_rl.policies.references import Always, NoContact
from nurture_rl.wording import counted

SHARE = 0.05  # of what the log earned: the tolerance where no other is named


def complexity(policy: object) -> Complexity | None:
    """What a policy is made of; None: it is none that a team would run for good, or not known.

    What holds it near the log adds nothing to understand but a look at the log.
    """
    alone = unheld(policy) if isinstance(policy, TrustRegion) else policy
    held = ", held near the log" if isinstance(policy, TrustRegion) else ""
    if isinstance(alone, NoContact | Always):
        return Complexity(0, 0, "always the same")
    if isinstance(alone, Drip):
        return Complexity(1, len(alone.plan), "a fixed schedule")
    if isinstance(alone, Rules):
        size = sum(1 + len(rule.when) for rule in alone.rules)
        return Complexity(2, size, f"{counted(len(alone.rules), 'rule')}{held}")
    if isinstance(alone, ScoredPolicy):
        module = alone.module
        numbers = sum(part.numel() for part in module.state_dict().values())
        linear = not module.depth and module.trunk is None
        what = "linear scores" if linear else "a network"
        return Complexity(3 if linear else 4, numbers, f"{what} of {numbers:,} numbers{held}")
    return None


def with_simplest(
    appraisal: Appraisal,
    policies: Mapping[str, object],
    tolerance: float | None,
    seed: int,
) -> Appraisal:
    """The appraisal with the simplest policy that is enough and breaks no limit on harm.

    Args:
        appraisal: of the policies, with the influences of its estimates.
        policies: by name, as they were judged.
        tolerance: a shortfall up to this is none, the log's unit; None: a twentieth of what the log
            earned per episode.
        seed: of the critical value.

    Raises:
        NurtureError: a tolerance below 0.
    """
    found = appraisal.evaluation
    estimates = {
        name: one.estimates[found.preferred].estimate
        for name, one in found.policies.items()
        if appraisal.believed(name) and found.preferred in one.estimates
    }
    if appraisal.estimated or appraisal.comparison is None:
        return appraisal  # on estimated propensities nothing is recommended
    known = {
        name: one
        for name in estimates
        if (one := complexity(policies[name])) is not None and not broken(appraisal.limits, name)
    }
    per = "per decision" if found.horizon == 1 else "per episode"
    allowed = SHARE * abs(found.logged.estimate.value) if tolerance is None else tolerance
    family, unit = Family(appraisal.comparison.level), f"{found.unit} {per}"
    rng = np.random.default_rng(seed)
    return replace(appraisal, simplest=simplest(estimates, known, allowed, family, unit, rng))
