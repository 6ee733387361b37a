"""What several seeds of the whole loop show together, in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.common.markdown import markdown_table, spread
from experiments.demo_seeds.study import SeedPolicy, SeedRecord
from nurture_rl.release.gate import RULES
from nurture_rl.simulator.gap.trust import Trust
from nurture_rl.wording import counted


@dataclass(frozen=True, slots=True)
class Release:
    """What the gate did in one seed's run, held against the truth."""

    seed: int
    candidate: str | None
    passed: bool
    enough: str | None  # the plain program that the gate found enough, where none passed
    bundled: str | None  # the policy in the bundle; None: nothing is released
    unfit: bool  # the learned world was found unfit to judge
    better: bool | None  # the candidate than the reference; None: there is no candidate
    worse: bool | None  # the candidate than the bar; None: no candidate, or no bar
    bar: str | None
    beaten: bool  # a learned policy is truly better than the bar

    @property
    def rightly_enough(self) -> bool:
        """A plain program was found enough, and no learned policy is truly better than it."""
        return self.enough is not None and not self.beaten

    @property
    def right(self) -> bool:
        """Released, truly better than the reference and not truly worse than the bar."""
        return self.passed and self.better is True and self.worse is not True


def release_of(record: SeedRecord) -> Release:
    """Hold a gate's answer against the truth.

    Truly better, or worse: the 95 % interval of the paired difference, on the same contacts and
    luck, lies above 0, or below.
    """
    candidate = record.gate.get("candidate")
    bar = record.bar
    passed = bool(record.gate.get("passed", False))
    enough = bar if record.gate.get("verdict") == RULES else None
    over = [record.policies[name].over_bar for name in record.learned]
    beaten = any(one is not None and one.lower > 0.0 for one in over)
    chosen = record.policies.get(candidate) if isinstance(candidate, str) else None
    over_bar = None if chosen is None else chosen.over_bar
    return Release(
        seed=record.seed,
        candidate=candidate,
        passed=passed,
        enough=enough,
        bundled=record.gate.get("exported"),
        unfit=record.trust == Trust.NOTHING,
        better=None if chosen is None else chosen.difference_lower > 0.0,
        worse=None if over_bar is None else over_bar.upper < 0.0,
        bar=bar,
        beaten=beaten,
    )


def report(records: Sequence[SeedRecord]) -> str:
    """Every table: the policies, the gate in a sentence, and the gate seed by seed."""
    parts = ["## The policies", policy_table(records), "## The gate", gate_sentence(records)]
    return "\n\n".join([*parts, gate_table(records)])


def policy_table(records: Sequence[SeedRecord]) -> str:
    """Truth, learned world and verdicts of each policy: mean and range over seeds."""
    unit, reference = records[0].unit, records[0].reference
    head = ["policy", f"truth, {unit}", f"truth less {reference}", f"learned world, {unit}"]
    lines = []
    for name in dict.fromkeys(name for record in records for name in record.policies):
        rows = [record.policies[name] for record in records if name in record.policies]
        less = "" if name == reference else spread([row.difference for row in rows], "{:+.1f}")
        lines.append(
            [
                f"`{name}`"
                if len(rows) == len(records)
                else f"`{name}` (in {len(rows)} of {len(records)})",
                spread([row.truth for row in rows], "{:.1f}"),
                less,
                spread([row.world for row in rows], "{:.1f}"),
                _verdicts(rows) if name != reference else "the reference",
            ]
        )
    return markdown_table([*head, "verdicts on the log"], lines)


def gate_sentence(records: Sequence[SeedRecord]) -> str:
    """How often the gate passed, how often rightly, and what the bundle holds where it did not."""
    found = [release_of(record) for record in records]
    passed, right = sum(one.passed for one in found), sum(one.right for one in found)
    bars = Counter(one.bar for one in found if one.bar is not None)
    told = ", ".join(f"`{bar}` in {counted(count, 'seed')}" for bar, count in bars.most_common())
    bar = f"`{next(iter(bars))}`" if len(bars) == 1 else f"its run's bar ({told})"
    than = f" and not truly worse than {bar}" if bars else ""
    reference = records[0].reference
    return (
        f"The gate passed in {passed} of {len(found)} seeds, rightly in {right}: rightly where the "
        f"released policy is truly better than `{reference}`{than}."
        f"{_instead(found, reference)}{_nothing(found)}"
    )


def _instead(found: Sequence[Release], reference: str) -> str:
    """The seeds in which a program was enough, and in how many of them it is bundled."""
    enough = [one for one in found if one.enough is not None]
    if not enough:
        return ""
    held = Counter(one.bundled for one in enough if one.bundled is not None)
    told = [
        f"in {count} of these {len(enough)} the bundle holds `{name}`"
        for name, count in held.most_common()
    ]
    stay = len(enough) - held.total()
    if stay:
        told.append(
            f"in {stay} the learned world does not show the program above `{reference}` either, "
            f"and the advice is to stay with `{reference}`"
        )
    bundled = "; ".join(told)
    return (
        f" In {len(enough)} more it found a plain program enough, rightly in "
        f"{sum(one.rightly_enough for one in enough)}: no learned policy is truly better than that "
        f"program. {bundled[0].upper()}{bundled[1:]}."
    )


def _nothing(found: Sequence[Release]) -> str:
    """The seeds in which nothing passed and no program was enough."""
    rest = [one for one in found if not one.passed and one.enough is None]
    if not rest:
        return ""
    which = "the other" if len(rest) < len(found) else "all"
    unfit = sum(one.unfit for one in rest)
    if unfit == len(rest):
        return (
            f" In {which} {unfit} the learned world was found unfit to judge, and nothing is "
            "released."
        )
    why = f", in {unfit} of them since the learned world was found unfit to judge" if unfit else ""
    return f" In {which} {len(rest)} nothing is released{why}."


def gate_table(records: Sequence[SeedRecord]) -> str:
    """The gate's answer in each seed, and what the truth says of it."""
    head = ["seed", "world", "candidate", "gate", "truth", "over the reference", "against the bar"]
    lines = []
    for record in records:
        one = release_of(record)
        chosen = record.policies.get(one.candidate or "")
        lines.append(
            [
                str(record.seed),
                record.trust.replace("_", " "),
                f"`{one.candidate}`" if one.candidate else "none",
                _answer(one),
                f"{chosen.truth:.1f}" if chosen else "",
                _said(one.better, "better", "not better"),
                _said(one.worse, f"worse than `{one.bar}`", f"no worse than `{one.bar}`"),
            ]
        )
    return markdown_table(head, lines)


def _answer(one: Release) -> str:
    if one.passed:
        return "passed, rightly" if one.right else "passed, wrongly"
    if one.enough is None:
        return "refused"
    bundled = "" if one.bundled is None else ", and bundled"
    right = "rightly" if one.rightly_enough else "wrongly"
    return f"refused, {right}: `{one.enough}` is enough{bundled}"


def _said(answer: bool | None, yes: str, no: str) -> str:
    return "" if answer is None else yes if answer else no


def _verdicts(rows: Sequence[SeedPolicy]) -> str:
    counted = Counter(row.verdict.replace("_", " ") for row in rows)
    return ", ".join(f"{verdict} {count}" for verdict, count in counted.most_common())
