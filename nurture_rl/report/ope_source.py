"""An off-policy evaluation as plain JSON values, read for figures, tables and the headline."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.report.numbers import Bounded
from nurture_rl.report.source import Json, listed, mapping, number, pick, words

ESTIMATORS = {
    "dr": "doubly robust",
    "wdr": "weighted doubly robust",
    "drl": "marginal doubly robust",
    "sndr": "self-normalised doubly robust",
    "switch_dr": "switch doubly robust",
    "dros": "shrunk doubly robust",
    "mrdr": "more robust doubly robust",
    "magic": "blended (MAGIC)",
    "snips": "self-normalised weighting",
    "ips": "weighting",
    "clipped_ips": "clipped weighting",
    "mips": "weighting by factors",
    "smis": "state-marginal weighting",
    "dice": "stationary weights (DICE)",
    "dm": "model alone",
    "fqe": "fitted Q evaluation",
}
VERDICTS = {
    "better": "better",
    "not_better": "not better",
    "cannot_tell_yet": "cannot tell yet",
    "rules_are_enough": "rules are enough",
}
METHODS = {
    "clustered-t": "t, clustered by contact",
    "skewed-t": "t, clustered by contact and corrected for skewness",
    "clopper-pearson": "exact binomial",
    "weighted-poisson": "weighted Poisson",
    "same": "none: one number but for rounding",
    "same-policy": "none: the two act alike",
}


SAME = ("same", "same-policy")


@dataclass(frozen=True, slots=True)
class OpeSource:
    """What the verb wrote to `ope.json`; a part that is missing leaves its section out."""

    content: Json

    @property
    def appraisal(self) -> Json:
        """What the log says."""
        return mapping(self.content, "appraisal")

    @property
    def evaluation(self) -> Json:
        """Estimates, overlap and verdicts of every policy."""
        return mapping(self.appraisal, "evaluation")

    @property
    def log(self) -> Json:
        """Where the decisions came from."""
        return mapping(self.content, "log")

    @property
    def unit(self) -> str:
        """Of every value."""
        return words(self.evaluation, "unit") or "units"

    @property
    def per(self) -> str:
        """What one value is counted over."""
        return "per decision" if number(self.evaluation, "horizon") == 1.0 else "per episode"

    @property
    def candidate(self) -> str:
        """The policy that the verdict is about."""
        return words(self.appraisal, "candidate") or ""

    @property
    def reference(self) -> str:
        """The policy it is compared with, or "logged"."""
        return words(self.evaluation, "reference") or "logged"

    @property
    def rules(self) -> str | None:
        """The plain rules that may be enough."""
        return words(self.appraisal, "rules")

    @property
    def verdict(self) -> str:
        """The word on the candidate."""
        return words(self.appraisal, "verdict") or "cannot_tell_yet"

    @property
    def policies(self) -> list[str]:
        """Names of the target policies: candidate, reference and rules first."""
        named = list(mapping(self.evaluation, "policies"))
        first = [name for name in (self.candidate, self.reference, self.rules) if name in named]
        return list(dict.fromkeys([*first, *named]))

    def policy(self, name: str) -> Json:
        """What the log says about one policy."""
        return mapping(self.evaluation, "policies", name)

    def basis(self, name: str) -> str | None:
        """The estimator that the policy's verdict rests on."""
        return words(self.policy(name), "basis")

    def value(self, name: str) -> Bounded:
        """A policy's value by that estimator, or the log's own mean."""
        if name == "logged":
            return interval_at(mapping(self.evaluation, "logged"), "estimate")
        basis = self.basis(name)
        return Bounded(None) if basis is None else self.estimate(name, basis)

    def estimate(self, name: str, kind: str) -> Bounded:
        """One estimator's answer for a policy."""
        return interval_at(mapping(self.policy(name), "estimates", kind), "estimate")

    def difference(self, name: str, to: str = "difference") -> Bounded:
        """A policy's paired difference to the reference, or `against_rules`."""
        return interval_at(mapping(self.policy(name), to))


def interval_at(estimate: Json, *value: str) -> Bounded:
    """The value and interval of an estimate or a difference."""
    return Bounded(
        number(estimate, *value, "value"),
        number(estimate, "interval", "lower"),
        number(estimate, "interval", "upper"),
    )


def rows(source: object, *path: str) -> list[Json]:
    """The mappings in a list; others are left out."""
    return [row for row in listed(source, *path) if isinstance(row, dict)]


def estimator_name(kind: str) -> str:
    """An estimator in words."""
    return ESTIMATORS.get(kind, kind.replace("_", " "))


def role(source: OpeSource, name: str) -> str:
    """A policy's name with what it is here."""
    marks = [
        ("candidate", source.candidate),
        ("reference", source.reference),
        ("rules", source.rules or ""),
    ]
    marked = [mark for mark, policy in marks if policy == name and mark != name]
    return f"{name} ({', '.join(marked)})" if marked else name


def refusing(source: OpeSource, name: str) -> list[Json]:
    """The findings that withhold the verdict on a policy: about the log, and about the policy."""
    findings = rows(source.appraisal, "checks", "findings")
    findings += rows(source.appraisal, "target_checks", name, "findings")
    return [one for one in findings if words(one, "severity") == "refuse"]


def believed(source: OpeSource, name: str) -> bool:
    """Whether the log carries the policy and no check refuses."""
    return feasible(source, name) and not refusing(source, name)


def same_policy(source: OpeSource, name: str) -> bool:
    """Whether the policy and the reference are one to this log."""
    return words(source.policy(name), "difference", "interval", "method") in SAME


def feasible(source: OpeSource, name: str) -> bool:
    """Whether the log carries the policy."""
    return pick(source.policy(name), "overlap", "feasible") is True
