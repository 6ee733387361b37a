"""Memory for whoever decides: contexts that tell each of the last bins apart, signal by signal."""

from __future__ import annotations

from nurture_envs.errors import JourneyError
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey


def with_memory(journey: Journey, bins: int) -> Journey:
    """The journey with a feature of kind `memory` for every signal after which an episode goes on.

    The new columns stand behind the others: `recent_<signal>@1` is the last bin,
    `recent_<signal>@<bins>` the one farthest back; a valued signal's sums are
    `recent_<signal>.value@1` and so on. What an action makes (`sent_*`, `escalated`, `slowed`) is
    among them: what was done is remembered as what was seen is.

    Args:
        journey: whose contexts shall remember.
        bins: how many of the last, at most those of an episode; 0: the journey as it is.

    Raises:
        JourneyError: fewer bins than none or more than an episode has, or a feature has such a name
            already.
    """
    most = journey.clock.horizon
    if not 0 <= bins <= most:
        raise JourneyError(
            journey.name,
            [f"memory: expected 0 to {most} bins, as many as an episode has, got {bins}"],
        )
    if bins == 0:
        return journey
    own = journey.resolved["features"]
    added = {
        f"recent_{channel}": {"kind": "memory", "of": [channel], "window": bins}
        for channel in journey.channels
        if channel.removesuffix(".value") not in journey.terminals
    }
    if taken := sorted(added.keys() & own.keys()):
        raise JourneyError(
            journey.name,
            [f"features.{taken[0]}: memory makes a feature of this name; call yours otherwise"],
        )
    return parse_journey({**journey.resolved, "features": {**own, **added}}, journey.name)
