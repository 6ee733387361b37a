"""Errors of the domain language: each says what was expected, what came and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class NurtureError(Exception):
    """Base of every error this project raises on purpose."""


class ShapeError(NurtureError):
    """An array does not have the shape the contract names."""


class JourneyError(NurtureError):
    """A journey file breaks its schema; carries every problem found, not the first."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"journey {source}: {count} {noun}; mend each and load again:\n{lines}")


class ActionError(NurtureError):
    """An action id or index is not in the catalogue, or a catalogue is another one."""


class ProbabilityError(NurtureError):
    """Action probabilities do not sum to 1, are negative, or fall on a masked action."""


class TimeZoneError(NurtureError):
    """A time stamp carries no zone, or a zone name is unknown."""


class SimulationError(NurtureError):
    """A simulation cannot run as asked on this machine."""


class WorldError(NurtureError):
    """A world was asked for something its journey does not have."""


class SlowPathWarning(UserWarning):
    """Something is done without compiled loops, several times slower; the text says why."""
