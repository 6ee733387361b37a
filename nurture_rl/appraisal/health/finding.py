"""One thing that is wrong with a log."""

from __future__ import annotations

from dataclasses import dataclass

STOP, LOOK = "stop", "look"  # nothing can be learned before it is mended; something is worse for it


@dataclass(frozen=True, slots=True)
class LogFinding:
    """What was found, how much of it, and what to do."""

    kind: str  # a short name, the same for every log
    severity: str  # STOP or LOOK
    says: str  # the evidence, with numbers
    mend: str


def share(part: int, whole: int) -> str:
    """Such as `120 of 4,000 (3.0 %)`."""
    return f"{part:,} of {whole:,} ({part / max(whole, 1):.1%})".replace("%", " %")
