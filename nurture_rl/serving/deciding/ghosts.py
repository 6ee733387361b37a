"""What the policy would have decided for contacts who are held out: told, and never done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.guardrails import Reason
from nurture_rl.serving.arm_records import Ghost
from nurture_rl.serving.deciding.array_pass import Weighed, draw
from nurture_rl.serving.layers import Line
from nurture_rl.serving.records import ContactView, Decision


def with_ghosts(
    catalog: ActionCatalog,
    decisions: Sequence[Decision],
    views: Sequence[ContactView],
    contacts: Weighed,
    line: Line | None,
    seed: int,
) -> Sequence[Decision]:
    """Decisions with their ghosts: drawn by a line for the same contacts, with the same luck.

    A ghost that pauses is followed by no other until its pause is over, and none comes after one
    that exits, as it would be with decisions. No other limit counts ghosts: a contact whom nobody
    mails has no mails.

    Args:
        catalog: the actions.
        decisions: what was decided, [n].
        views: the contacts, [n].
        contacts: at their moment, [n].
        line: who is asked; None: nobody, and there are no ghosts.
        seed: with a decision's id it gives its luck.
    """
    if line is None:
        return decisions
    paused = contacts.bins < np.array([view.episode.ghost.paused_until for view in views], np.int64)
    reasons, other = contacts.reasons.copy(), np.arange(len(catalog)) != catalog.wait
    reasons[np.ix_(paused, other)] |= int(Reason.PAUSED)
    seen = replace(contacts, reasons=reasons)
    asked: dict[Line, list[int]] = {}
    for row, view in enumerate(views):
        if not view.episode.ghost.exited:
            asked.setdefault(line.at(contacts.features[row]), []).append(row)
    made = list(decisions)
    for one, rows in asked.items():
        some = seen.of(rows)
        ids = [decisions[row].decision_id for row in rows]
        drawn = draw(catalog, some, ids, 0, seed, one)
        said = drawn.answers if len(drawn.answers) == len(rows) else [*drawn.answers] * len(rows)
        for place, row in enumerate(rows):
            action, table = int(drawn.actions[place]), drawn.table[place]
            ghost = Ghost(
                decisions[row].decision_id,
                decisions[row].episode_id,
                decisions[row].step,
                catalog.ids[action],
                float(table[action]),
                tuple(table.tolist()),
                tuple((some.reasons[place] == 0).tolist()),
                said[place].policy_id,
                said[place].note,
            )
            made[row] = replace(decisions[row], ghost=ghost)
    return made
