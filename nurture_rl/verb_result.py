"""What a verb made and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What a sweep reads of `made`: a number, or None where it is withheld, and what it is or why not.
OBJECTIVE, OBJECTIVE_IS = "objective", "objective is"


@dataclass(frozen=True, slots=True)
class VerbResult:
    """What a verb made, for people and scripts."""

    made: Mapping[str, Any] = field(default_factory=dict)  # folders, files, numbers and answers
    code: int = 0  # exit code: one of the verb's own
