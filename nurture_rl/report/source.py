"""What a report is made of: plain JSON values, any part of which may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything one page shows.

    A part that was not made is None, or lacks its keys; the page then says so. Undefined numbers
    may be null or NaN.
    """

    title: str
    journey: Json  # name, title, provenance, unit, horizon, estimand
    run: Json  # seed, started_at, versions, command, fingerprints, config (YAML text)
    data: Json  # ingest (an IngestSummary), notes (AdapterNotes), contacts_train, ...
    calibration: Sequence[Json]  # of HeadCalibration, one per head
    evaluation: Json  # of the stage's record, and the candidate
    gate: Json | None  # verdict, passed, reasons, exported, judged, left_out, policy_id
    gap: Json | None = None  # of GapReport: the learned world against held-out contacts
    tuned: Json = field(default_factory=dict)  # by policy: its search.json, and its spec
    regions: Json = field(default_factory=dict)  # by policy: its region.json, where there is one

    @property
    def unit(self) -> str:
        """Unit of every value."""
        return words(self.journey, "unit") or "units"

    @property
    def per(self) -> str:
        """What one value is counted over."""
        single = self.journey.get("estimand") == "per_decision"
        return "per decision" if single else "per episode"

    @property
    def each(self) -> str:
        """The same for readers who know no episodes."""
        single = self.journey.get("estimand") == "per_decision"
        return "per decision" if single else "for each contact's journey"

    @property
    def appraisal(self) -> Json:
        """What the judge of the log found, as the off-policy report has it."""
        return mapping(self.evaluation, "appraisal")

    @property
    def ope(self) -> Json:
        """Its estimates, overlap and verdicts."""
        return mapping(self.appraisal, "evaluation")

    @property
    def reference(self) -> str:
        """Name of the policy that others are compared with."""
        return words(self.ope, "reference") or "the reference"

    @property
    def candidate(self) -> str | None:
        """Name of the policy proposed for release."""
        return words(self.evaluation, "candidate")

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of all policies judged anywhere, in order of first mention."""
        worlds = [pick(self.evaluation, world) for world in ("simulator", "truth")]
        named = {name: None for judge in (self.ope, *worlds) for name in mapping(judge, "policies")}
        return tuple(named)


def pick(source: object, *path: str) -> object:
    """The value at a path of keys; None where any of them is missing."""
    for key in path:
        if not isinstance(source, Mapping):
            return None
        source = source.get(key)
    return source


def why(policy: object, advised: bool = True) -> str | None:
    """The reason of a policy's verdict, with what would settle it; None where there is none."""
    reason, advice = (words(policy, "judgement", key) for key in ("reason", "advice"))
    return f"{reason}; {advice}" if reason and advice and advised else reason


def mapping(source: object, *path: str) -> Json:
    """The mapping at a path; empty where there is none."""
    value = pick(source, *path)
    return value if isinstance(value, Mapping) else {}


def listed(source: object, *path: str) -> Sequence[object]:
    """The list at a path; empty where there is none."""
    value = pick(source, *path)
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def words(source: object, *path: str) -> str | None:
    """The text at a path; None where there is none."""
    value = pick(source, *path)
    return value if isinstance(value, str) and value else None


def number(source: object, *path: str) -> float | None:
    """The number at a path; None where it is missing, null, NaN or unbounded."""
    value = pick(source, *path)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def numbers(source: object, *path: str) -> list[float | None]:
    """The list of numbers at a path; empty where there is none."""
    return [number(item) for item in listed(source, *path)]
