"""Those whom the policy mailed before it did anything else, or would have, were they not held out.

Until then both lived alike: a server tells of each contact that is held out what its policy would
have decided (a ghost), and a ghost that pauses holds the next ones back as a decision does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.lift.contrast import BoolArray
from nurture_rl.lift.enrolled import LogTables, of_experiment
from nurture_rl.lift.velocity import IntArray
from nurture_rl.lift.written_plan import Plan

_POLICY, _HELD = "policy", "holdout"


def first_mailed(log: LogTables, ghosts: pa.Table, plan: Plan) -> tuple[LogTables, Plan]:
    """The log and the plan of those contacts alone, each from its first mail or ghost of one on.

    A contact counts where the first act of the policy, pauses apart, is a mail, whether or not it
    left. Only the policy's arm and the holdout know of it; their shares are as before to each
    other, so that the check of the arms' sizes says whether the ghosts are right.

    Args:
        log: the checked log.
        ghosts: `decision_id` and `action` of what the policy would have decided.
        plan: names both arms.

    Raises:
        ConfigError: it does not.
        LogError: nobody was mailed or would have been.
    """
    if not {_POLICY, _HELD} <= plan.shares.keys():
        raise ConfigError(
            f"among: expected a plan with the arms {_POLICY} and {_HELD}, got "
            f"{', '.join(plan.shares)}; leave `among` out, or plan a holdout"
        )
    rows = log.decisions.sort_by([("decided_at", "ascending"), ("decision_id", "ascending")])
    rows = rows.combine_chunks()
    dealt = of_experiment(rows, plan)
    act, of = _acts(rows, ghosts, dealt), _contacts(rows)
    acted = np.flatnonzero(~np.char.startswith(act, "pause:"))
    _, at = np.unique(of[acted], return_index=True)
    begin = np.full(int(of.max(initial=-1)) + 1, len(rows))
    first = acted[at]
    first = first[np.char.startswith(act[first], "send:") & _inside(rows, of, dealt)[first]]
    begin[of[first]] = first
    kept = rows.filter(pa.array(np.arange(len(rows)) >= begin[of]))
    if not len(kept):
        raise LogError(
            "among: nobody was mailed first of all, nor would have been; export the store again, "
            "with its ghosts beside the decisions, or leave `among` out"
        )
    both = plan.shares[_POLICY] + plan.shares[_HELD]
    shares = {name: plan.shares[name] / both for name in (_POLICY, _HELD)}
    units, name = max(100, round(plan.units * both)), f"{plan.name}, from the first mail on"
    narrowed = replace(plan, name=name, shares=shares, usual=_HELD, units=units)
    return replace(log, decisions=kept), narrowed


def _acts(
    rows: pa.Table, ghosts: pa.Table, dealt: BoolArray
) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    """What the policy decided or would have, [n]; what it was not asked about is a pause.

    So is what it decided once the experiment was over, for whom it had held out too.
    """
    place = pc.index_in(rows["decision_id"], value_set=ghosts["decision_id"].combine_chunks())
    ghost = pc.take(ghosts["action"].combine_chunks(), place)
    arm = rows["arm"]
    mine = pc.or_(pc.equal(arm, _POLICY), pc.starts_with(arm, "canary:"))
    own = pc.if_else(mine, rows["action"], "pause:1")
    act = pc.if_else(pc.equal(arm, _HELD), pc.coalesce(ghost, "pause:1"), own)
    return np.where(dealt, np.asarray(act.to_pylist(), str), "pause:1")


def _contacts(rows: pa.Table) -> IntArray:
    """Positions of the contacts, [n]."""
    encoded = rows["contact_id"].combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices, np.int64)


def _inside(rows: pa.Table, of: IntArray, dealt: BoolArray) -> BoolArray:
    """Whether the first decision of a row's contact lies in the experiment, in one of both arms."""
    _, at = np.unique(of, return_index=True)
    arm = np.asarray(rows["arm"].to_pylist(), str)[at]
    both = (arm == _POLICY) | (arm == _HELD) | np.char.startswith(arm, "canary:")
    return np.asarray((dealt[at] & both)[of], np.bool_)
