"""Replaying what was served, from its export alone: does this bundle give these decisions again?"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from nurture_rl.progress import PROGRESS, shown_progress
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.layers import FAIL_CLOSED, PAUSED, layer_named
from nurture_rl.serving.upkeep.exported_rows import exported_decisions
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted, plural

_PARTED = 3  # exit code when a decision did not come out again
_TOLD = 1000  # decisions between two words of progress


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to make again."""

    bundle: str  # folder of the bundle that decided
    log: str  # folder that `nurture export_log` wrote, as parquet


def replay_log(options: ReplayOptions) -> VerbResult:
    """The verb `replay`; its exit code is `_PARTED` where a decision did not come out again.

    Raises:
        NurtureError: the bundle or the log cannot be read.
    """
    bundle = load_bundle(Path(options.bundle))
    with shown_progress("replay"):
        tally = _tally(bundle, Path(options.log))
    print(
        f"{counted(tally['same'], 'decision')} came out again bit for bit, {tally['parted']} did "
        f"not, {tally['other']} {plural(tally['other'], 'was', 'were')} another policy's"
    )
    counts = {name: tally[name] for name in ("same", "parted", "other")}
    return VerbResult(counts, _PARTED if tally["parted"] else 0)


def _tally(bundle: Bundle, log: Path) -> Counter[str]:
    tally: Counter[str] = Counter()
    for done, (decision, seed) in enumerate(exported_decisions(log)):
        if done % _TOLD == 0:
            PROGRESS.info("%d decisions made again", done)
        name = decision.policy_id
        if name not in (FAIL_CLOSED, PAUSED) and layer_named(bundle, name) is None:
            tally["other"] += 1
        elif replay(bundle, decision, seed):
            tally["same"] += 1
        else:
            tally["parted"] += 1
            print(f"{decision.decision_id}: another action or probability", file=sys.stderr)
    return tally
