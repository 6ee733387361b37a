"""What rounds in a world fitted to a log begin with, and how far that world may be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nurture_rl.errors import ConfigError
from nurture_rl.report.rounds_source import PlayedFit
from nurture_rl.workflow.gap import gap_verdict

if TYPE_CHECKING:
    from nurture_rl.workflow.pipeline import Pipeline


def fitted_world(base: Pipeline) -> PlayedFit:
    """How far the world that was fitted to a log may be trusted, by its contacts held out.

    Args:
        base: the pipeline on that log.
    """
    said, data = gap_verdict(base.gap), base.settings.run.data
    causes = tuple(one.sentence for one in said.causes)
    return PlayedFit(data.path or data.name, said.trust.value, said.sentence, causes)


def start_in(
    described: Mapping[str, Any], exploration: Sequence[float] | None
) -> Mapping[str, Any]:
    """A programme mixed with what explores, as rounds begin with, of the policy that made a log.

    A fit that follows a program in some decisions is that program, and the rest is its exploration.
    Another fit is a programme of its own, and chance takes every allowed action alike.

    Args:
        described: of the logging policy, as it was fitted to the log.
        exploration: shares by round, the first of which such a programme begins with.

    Raises:
        ConfigError: nobody says how much of such a programme is left to chance.
    """
    if described["kind"] == "mixture":
        share = 1.0 - float(described["share"])
        parts = {"policy": described["other"], "other": described["policy"]}
        return {"kind": "mixture", **parts, "share": share}
    if not exploration:
        raise ConfigError(
            "rounds.exploration: the log follows no program that is known, so nobody can say what "
            "of it is chance; expected shares by round, such as [0.2]"
        )
    chance = {"kind": "random"}
    return {"kind": "mixture", "policy": described, "other": chance, "share": exploration[0]}
