"""Blocks of a log of episodes: all decisions of some contacts, and what all blocks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np

from nurture_rl.errors import LogError
from nurture_rl.ope.checks.exploration import free_decisions, left_to_chance
from nurture_rl.ope.contact_hash import HashArray, bucket_of
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, horizon
from nurture_rl.wording import counted, plural

Made = TypeVar("Made")
IDS_AT_A_TIME = 1 << 24  # ids of episodes that are held against each other at once


@dataclass(frozen=True, slots=True, eq=False)
class ContactBlock:
    """All decisions of some contacts; no contact is in two blocks."""

    log: EvaluationLog
    contact: HashArray  # 64-bit number of each of the log's clusters, in their order, [C]
    episode: HashArray  # the same of each episode, [E]
    targets: Mapping[str, FloatArray]  # probabilities of target policies on its rows, [N, a] each


class ContactBlocks(Protocol):
    """A log that lies in blocks of contacts."""

    def over(
        self, work: Callable[[ContactBlock, int], Made], names: tuple[str, ...], what: str
    ) -> Iterator[Made]:
        """What is made of every block, in their order, one after the other.

        Args:
            work: asked of a block and of the number of contacts in the blocks before it.
            names: policies whose probabilities it reads.
            what: is done, for who watches.
        """
        ...


@dataclass(frozen=True, slots=True)
class LogRange:
    """How far the propensities and rewards of a log reach, and what it left to chance."""

    least: float  # propensity
    low: float  # reward
    high: float  # reward
    free: int  # decisions with a choice
    chance: int  # of them left to chance


@dataclass(frozen=True, slots=True, eq=False)
class LogShape:
    """What has to be known of the whole log before its values can be summed."""

    n_rows: int
    n_episodes: int
    horizon: int  # decisions of the longest episode, H
    contact: HashArray  # the log's contacts in the order of the blocks, [C]
    steps: IntArray  # bins in which decisions were made, ascending, [S]
    mean: FloatArray  # of the features and the bin, [d + 1]
    spread: FloatArray  # what they are divided by, [d + 1]
    size: float  # mean size of a reward
    most: float  # largest size of a reward
    range: LogRange

    @property
    def n_contacts(self) -> int:
        """Contacts, C."""
        return self.contact.size

    def fold_of_contact(self, rng: np.random.Generator, n_folds: int) -> IntArray:
        """Folds dealt to the contacts by the order of their numbers, [C]."""
        dealt = rng.permutation(self.n_contacts) % min(n_folds, self.n_contacts)
        fold = np.empty(self.n_contacts, dtype=np.int64)
        fold[np.argsort(self.contact, kind="stable")] = dealt
        return fold


@dataclass(frozen=True, slots=True, eq=False)
class BlockShape:
    """What one block adds to the shape of the log."""

    rows: int
    horizon: int
    contact: HashArray
    episodes: int
    steps: IntArray
    mean: FloatArray
    squares: FloatArray  # of the distances from the mean, summed, [d + 1]
    largest: FloatArray  # size of a feature, [d + 1]
    size: float  # sizes of rewards, summed
    most: float
    range: LogRange


def shape_of_block(block: ContactBlock) -> BlockShape:
    """What a block adds to the shape of the log."""
    log = block.log
    features = with_bin(log)
    mean, size = features.mean(axis=0), np.abs(log.reward)
    return BlockShape(
        rows=log.n_rows,
        horizon=horizon(log),
        contact=block.contact,
        episodes=block.episode.size,
        steps=np.unique(log.step),
        mean=mean,
        squares=((features - mean) ** 2).sum(axis=0),
        largest=np.abs(features).max(axis=0, initial=0.0),
        size=float(size.sum()),
        most=float(size.max()),
        range=range_of(log),
    )


def range_of(log: EvaluationLog) -> LogRange:
    """How far the numbers of some decisions reach."""
    free = free_decisions(log)
    return LogRange(
        least=float(log.propensity.min()),
        low=float(log.reward.min()),
        high=float(log.reward.max()),
        free=int(free.sum()),
        chance=int(left_to_chance(log)[free].sum()),
    )


def shape_of_log(blocks: Sequence[BlockShape]) -> LogShape:
    """The shape of the log whose contacts lie in these blocks.

    Source: Chan, Golub & LeVeque (1983), Algorithms for Computing the Sample Variance.
    """
    rows = np.array([one.rows for one in blocks], dtype=np.float64)
    n = float(rows.sum())
    means = np.array([one.mean for one in blocks])
    mean = rows @ means / n
    squares = np.sum([one.squares for one in blocks], axis=0) + rows @ (means - mean) ** 2
    spread = np.sqrt(squares / n)
    largest = np.max([one.largest for one in blocks], axis=0)
    # A constant column centres to 0 and stays there; rounding must not blow it up.
    spread[spread <= 1e-9 * largest] = np.inf
    return LogShape(
        n_rows=int(n),
        n_episodes=sum(one.episodes for one in blocks),
        horizon=max(one.horizon for one in blocks),
        contact=np.concatenate([one.contact for one in blocks]),
        steps=np.unique(np.concatenate([one.steps for one in blocks])),
        mean=mean,
        spread=spread,
        size=sum(one.size for one in blocks) / n,
        most=max(one.most for one in blocks),
        range=LogRange(
            least=min(one.range.least for one in blocks),
            low=min(one.range.low for one in blocks),
            high=max(one.range.high for one in blocks),
            free=sum(one.range.free for one in blocks),
            chance=sum(one.range.chance for one in blocks),
        ),
    )


def require_own_episodes(blocks: ContactBlocks, n_episodes: int) -> None:
    """Refuse episodes, or ids of single decisions, that several contacts share.

    Inside a block they were looked for row by row; here ids of all blocks are held against each
    other, some at a time by a hash.

    Args:
        blocks: of the log.
        n_episodes: of the log.

    Raises:
        LogError: how many there are.
    """
    shares, shared = 1 << (n_episodes // IDS_AT_A_TIME).bit_length(), 0
    for share in range(shares):
        ids = np.concatenate(list(blocks.over(partial(_ids, share, shares), (), "ids of episodes")))
        shared += ids.size - np.unique(ids).size
    if shared:
        raise LogError(
            f"{counted(shared, 'episode')} {plural(shared, 'has', 'have')} decisions of several "
            "contacts; give the episodes, or decisions, of each contact ids of their own, or say "
            "stream.engine=memory to have them set aside"
        )


def _ids(share: int, shares: int, block: ContactBlock, first: int) -> HashArray:
    """Ids of a block's episodes that belong to one share of all ids, [m]."""
    if shares == 1:
        return block.episode
    ids: HashArray = block.episode[bucket_of(block.episode, shares) == share]
    return ids


def with_bin(log: EvaluationLog) -> FloatArray:
    """Features and the bin of each decision, [N, d + 1]."""
    return np.hstack([log.features.astype(np.float64), log.step[:, None].astype(np.float64)])


def pooled_block(block: ContactBlock, n_groups: int) -> ContactBlock:
    """The block with groups of contacts in the place of contacts, by a fixed hash of their ids.

    Args:
        block: decisions of whole contacts.
        n_groups: of all contacts, a power of two, at least as many as there are blocks.
    """
    if block.contact.size == 0:
        return block
    groups, place = np.unique(bucket_of(block.contact, n_groups), return_inverse=True)
    log = replace(block.log, cluster=place[block.log.cluster])
    return replace(block, log=log, contact=groups.astype(np.uint64))


def joined_blocks(blocks: Sequence[ContactBlock]) -> ContactBlock:
    """The decisions of several blocks as one, in their order."""
    if len(blocks) == 1:
        return blocks[0]
    logs = [block.log for block in blocks]
    episodes = np.cumsum([0, *(log.n_episodes for log in logs[:-1])])
    contacts = np.cumsum([0, *(block.contact.size for block in blocks[:-1])])
    numbered = list(zip(logs, episodes, contacts, strict=True))
    tables = [log.logged_probabilities for log in logs if log.logged_probabilities is not None]

    def whole(name: str) -> Any:
        return np.concatenate([getattr(log, name) for log in logs])

    log = replace(
        logs[0],
        **{name: whole(name) for name in ("features", "mask", "action", "propensity", "reward")},
        logged_probabilities=np.concatenate(tables) if tables else None,
        episode=np.concatenate([one.episode + first for one, first, _ in numbered]),
        step=np.concatenate([log.step for log in logs]),
        cluster=np.concatenate([one.cluster + first for one, _, first in numbered]),
        terminal=np.concatenate([log.terminal for log in logs]),
    )
    return ContactBlock(
        log=log,
        contact=np.concatenate([block.contact for block in blocks]),
        episode=np.concatenate([block.episode for block in blocks]),
        targets={
            name: np.concatenate([block.targets[name] for block in blocks])
            for name in blocks[0].targets
        },
    )
