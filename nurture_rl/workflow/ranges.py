"""What each number of a configuration may be; what no work could be done with is told at once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nurture_envs.clock import require_zone
from nurture_rl.errors import ConfigError, TimeZoneError
from nurture_rl.workflow.bar import EXPERT, RULES
from nurture_rl.workflow.release_region import AUTO

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import PolicyConfig, RunConfig, TrustConfig

Range = tuple[str, Any, bool, str]  # key, value, whether it can be worked with, what is expected
LEVEL = "a confidence level above 0 and below 1, such as 0.95"
_PPO, _TUNED = ("iterations", "n_contacts"), ("plays", "contacts")  # work that must be some
MARGIN = "a gain of 0 or more, in the log's unit"


def require_each(ranges: Iterable[Range]) -> None:
    """Guard settings.

    Raises:
        ConfigError: names the first that cannot be worked with, and what was expected.
    """
    for name, value, good, expected in ranges:
        if not good:
            raise ConfigError(f"{name}: expected {expected}, got {value!r}")


def require_ranges(run: RunConfig) -> None:
    """Guard the numbers and names that every run has.

    Raises:
        ConfigError: names the first that no work could be done with.
    """
    played, data, trust, release = run.simulation, run.data, run.data.trust, run.release
    named = [("seed", run.seed), *((f"seeds.{key}", one) for key, one in asdict(run.seeds).items())]
    for name, seed in (*named, *(("simulation.seeds", one) for one in played.seeds)):
        require_seed(name, seed)
    held = 0.0 < data.held_out < 1.0
    enters = data.source != "reference" or data.contacts >= 10
    require_each(
        [
            ("data.held_out", data.held_out, held, "a share above 0 and below 1, such as 0.5"),
            _from("data.max_refused", data.max_refused, 0, 1, "a share from 0 to 1, such as 0.1"),
            ("data.contacts", data.contacts, enters, "10 contacts or more, such as 2000"),
            *_ratios(trust),
            _from("data.trust.explore", trust.explore, 0, 1, "a share from 0 to 1"),
            _from("simulation.contacts", played.contacts, 2, math.inf, "2 or more"),
            _from("simulation.truth_contacts", played.truth_contacts, 2, math.inf, "2 or more"),
            ("simulation.seeds", played.seeds, len(played.seeds) >= 1, "a seed or more: [0,1]"),
            ("release.level", release.level, 0.0 < release.level < 1.0, LEVEL),
            ("release.margin", release.margin, 0.0 <= release.margin < math.inf, MARGIN),
            _reference(run, release.reference),
            _bar(run, release.rules),
            _positive("threads", run.threads),
            _positive("checkpoint_every", run.checkpoint_every),
            _positive("workers", 1 if run.workers is None else run.workers),
            *(_positive(f"ppo.{name}", getattr(run.ppo, name)) for name in _PPO),
            *(_positive(f"tuned.{name}", getattr(run.tuned, name)) for name in _TUNED),
        ]
    )
    try:
        require_zone(data.default_zone)
    except TimeZoneError as error:
        raise ConfigError(f"data.default_zone: {error}") from error


def _ratios(trust: TrustConfig) -> tuple[Range, Range]:
    """The largest importance ratio, and what it may be chosen among."""
    asked, tried = trust.max_ratio, trust.ratios
    good = asked == AUTO or _is_ratio(asked)
    some = len(tried) > 0 and all(_is_ratio(one) for one in tried)
    return (
        ("data.trust.max_ratio", asked, good, "auto, or a finite ratio of 1 or more"),
        ("data.trust.ratios", tried, some, "finite ratios of 1 or more, such as [2,4,8]"),
    )


def _is_ratio(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 1.0 <= value < math.inf


def require_seed(where: str, seed: int) -> None:
    """Guard a number that generators are seeded with.

    Raises:
        ConfigError: it is below 0, or beyond what every generator takes.
    """
    if not 0 <= seed < 2**63:
        raise ConfigError(f"{where}: expected a whole number from 0 to 2^63 - 1, got {seed}")


def _from(name: str, value: float, low: float, high: float, expected: str) -> Range:
    return name, value, low <= value <= high, expected


def _positive(name: str, value: int) -> Range:
    return _from(name, value, 1, math.inf, "1 or more")


def _reference(run: RunConfig, name: str) -> Range:
    known = _named(run)
    good = not run.policies or name in known or name == "logged"
    return "release.reference", name, good, f"one of {', '.join((*known, 'logged'))}"


def _bar(run: RunConfig, name: str | None) -> Range:
    """No bar, one that a journey may lack, or a policy that learns nothing."""
    plain = [known for known, policy in _named(run).items() if policy.learner == "none"]
    good = name in (None, EXPERT, RULES, *plain) or not run.policies
    known = dict.fromkeys((EXPERT, RULES, *plain))
    return "release.rules", name, good, f"null, or a policy that learns nothing: {', '.join(known)}"


def _named(run: RunConfig) -> dict[str, PolicyConfig]:
    """The run's policies with the one that a sweep varies."""
    return run.policies | ({} if run.policy is None else {run.policy.name: run.policy})
