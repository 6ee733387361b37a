"""One round's stages: learn from the pooled log, judge, and ask the gate."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from nurture_rl.workflow.logging_policy import LoggingPolicy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.rounds.played_world import PlayedWorld
from nurture_rl.workflow.rounds.round_verdict import Ran, RoundFindings, write_verdict


@dataclass(frozen=True)
class RoundPipeline(Pipeline):
    """The loop's stages on the log of several rounds."""

    pooled: Path = field(kw_only=True)
    world_played: PlayedWorld = field(default_factory=PlayedWorld, kw_only=True)

    @cached_property
    def checked(self) -> Path:
        """The pooled log."""
        return self.pooled

    @cached_property
    def logging(self) -> LoggingPolicy:
        """The policy that ran last, which is known, whatever the world that it was played in."""
        described = self.settings.run.data.logging
        return LoggingPolicy(described, 0.0, "the last round was made by the programme that ran")


def judged_round(pipeline: RoundPipeline, ran: Ran) -> Path:
    """The folder with `round.json` and `next.json`, the programme of the round that follows.

    Args:
        pipeline: by `settings_of_round`, on the log of all rounds so far.
        ran: what ran.
    """
    settings = pipeline.settings.run
    inputs = {
        "number": ran.number,
        "programme": [ran.programme.name, ran.programme.spec],
        "exploration": ran.exploration,
        "logs": [one.ingested.name for one in ran.logs],
        "pooled": pipeline.pooled.name,
        "evaluation": pipeline.evaluated.name,
        "gap": pipeline.gap.name,
        "release": settings.release.judging(),
        "journey": pipeline.journey.resolved,
        **pipeline.world_played.inputs,
    }
    found = (pipeline.evaluated, pipeline.gap, pipeline.policies)
    judged = RoundFindings(*found, pipeline.world_played)
    given = (ran, judged, pipeline.journey, pipeline.settings, pipeline.say)
    return pipeline.workshop.stage("round", inputs, partial(write_verdict, *given))
