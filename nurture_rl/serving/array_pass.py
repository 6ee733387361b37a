"""Deciding for many contacts in one pass over arrays: features, guardrails, policy and draw."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US, utc_microseconds
from nurture_envs.features import evaluate
from nurture_envs.guardrails import legal_actions
from nurture_rl.policies.policy import sample_actions
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.facts import Known, offered
from nurture_rl.serving.layers import Chosen, Line, chosen


@dataclass(frozen=True, slots=True)
class Weighed:
    """Contacts at the moment of their decision, as policies and clocks see them."""

    bins: NDArray[np.int64]  # [n]
    local_us: NDArray[np.int64]  # [n] local wall time of the moment
    zones: NDArray[np.str_]  # [n] IANA names in use
    features: NDArray[np.float32]  # [n, d]
    reasons: NDArray[np.int64]  # [n, a], bits of `Reason`, 0 where legal

    def of(self, rows: Sequence[int]) -> Weighed:
        """Some of the contacts, in the order of their positions."""
        if len(rows) == len(self.bins):
            return self
        return Weighed(
            self.bins[rows],
            self.local_us[rows],
            self.zones[rows],
            self.features[rows],
            self.reasons[rows],
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for n contacts."""

    actions: NDArray[np.int64]  # [n], catalogue order
    table: NDArray[np.float64]  # [n, a], the probabilities they were drawn by
    scheduled_us: NDArray[np.int64]  # [n], when a send leaves, UTC; any number for other actions
    answers: Sequence[Chosen]  # who gave the table: one for all contacts, or one for each


def weigh(
    bundle: Bundle, facts: Known, left: Mapping[str, int] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Features [n, d], and what the guardrails of one contact say against actions, [n, a].

    Args:
        bundle: its features, catalogue and guardrails.
        facts: of n contacts.
        left: sends left of each offer that has an inventory, by name; None: enough of all.
    """
    spec = bundle.feature_spec
    features = evaluate(spec, facts.past, facts.bins, facts.anchor_us, facts.attributes)
    now = offered(bundle.catalog, spec, facts.facts, features, left)
    return features, legal_actions(now, bundle.catalog, bundle.journey.guardrails)[1]


def draw(
    catalog: ActionCatalog,
    contacts: Weighed,
    ids: Sequence[str],
    now_us: int,
    seed: int,
    line: Line,
) -> Drawn:
    """Draw an action for each contact; each gets what it would get alone, bit for bit.

    Args:
        catalog: the actions.
        contacts: at their moment, [n].
        ids: of the decisions, [n].
        now_us: the moment, microseconds since 1970 UTC.
        seed: with a decision's id it gives that decision's luck.
        line: who is asked.
    """
    answers = chosen(line, contacts.features, contacts.reasons == 0, catalog.wait)
    table = answers[0].table if len(answers) == 1 else np.vstack([one.table for one in answers])
    actions = sample_actions(table, uniforms(seed, ids))
    return Drawn(actions, table, _scheduled(catalog, contacts, actions, now_us), answers)


def uniforms(seed: int, decision_ids: Sequence[str]) -> NDArray[np.float64]:
    """The luck of each decision, in [0, 1): a hash of seed and id, [n]."""
    before = f"{seed}:"
    digests = [
        hashlib.blake2b((before + name).encode(), digest_size=8).digest() for name in decision_ids
    ]
    whole = np.frombuffer(b"".join(digests), ">u8") >> np.uint64(11)
    return np.asarray(whole * 2.0**-53, np.float64)


def _scheduled(
    catalog: ActionCatalog, contacts: Weighed, actions: NDArray[np.int64], now_us: int
) -> NDArray[np.int64]:
    """UTC of each send: at once, or at its local hour today."""
    slots = catalog.slots[actions]
    at_us = np.full(len(actions), now_us, np.int64)
    later = np.flatnonzero(catalog.routed("send")[actions] & (slots != NOW))
    if len(later):
        local_us = contacts.local_us[later]
        local_us = local_us - local_us % DAY_US + slots[later] * HOUR_US
        at_us[later] = utc_microseconds(local_us, contacts.zones[later])
    return at_us
