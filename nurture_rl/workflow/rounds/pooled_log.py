"""The logs of all rounds as one, with the mixture of their policies known exactly."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.decisions import held_out_share
from nurture_rl.errors import LogError
from nurture_rl.ope.log import FloatArray, IntArray
from nurture_rl.ope.pooled_logging import pooled_logging
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.raw_folder import write_json

if TYPE_CHECKING:
    from nurture_rl.workflow.stages import Workshop

# What the logs of earlier rounds count for: see `RoundsSettings`.
MIXTURE, OWN, NONE = "mixture", "own", "none"
EARLIER = (MIXTURE, OWN, NONE)
_CHUNK = 65_536  # rows a policy is asked about at a time
_APART = 1e-5  # up to which a policy's probabilities are those that were logged


@dataclass(frozen=True, slots=True)
class LoggedRound:
    """What one round logged, and the policy that did."""

    name: str  # the policy's id in the log
    logging: Any  # its description
    ingested: Path


def pooled_log(
    workshop: Workshop,
    journey: Journey,
    rounds: Sequence[LoggedRound],
    earlier: str,
    held_out: float,
) -> Path:
    """The folder of all rounds' decisions, as an ingested log.

    Args:
        workshop: where the stages lie.
        journey: of the log.
        rounds: in order.
        earlier: what those before the last count for, see `RoundsSettings`.
        held_out: share of the contacts kept for evaluation; the mixture is that of each side.

    Raises:
        LogError: a policy is not the one that made its round.
    """
    used = rounds[-1:] if earlier == NONE else rounds
    inputs = {
        "ingests": [one.ingested.name for one in used],
        "logging": [one.logging for one in used],
        "earlier": earlier,
        "held_out": held_out,
        "journey": journey.resolved,
    }
    build = partial(_pool, journey, tuple(used), earlier == MIXTURE, held_out)
    return workshop.stage("pooled", inputs, build)


def _pool(
    journey: Journey, rounds: Sequence[LoggedRound], mixed: bool, held_out: float, out: Path
) -> None:
    tables = [pq.read_table(one.ingested / "decision_table.parquet") for one in rounds]
    table = pa.concat_tables(tables).combine_chunks()
    if mixed and len(rounds) > 1:
        stages = rounds[0].ingested.parent
        context = context_beside(stages, journey)
        policies = {one.name: build_policy(one.logging, context) for one in rounds}
        table = with_mixture(table, policies, context.catalog, held_out)
    pq.write_table(table, out / "decision_table.parquet")
    starts = [np.load(one.ingested / "starts.npz", allow_pickle=False) for one in rounds]
    joined = {name: np.concatenate([one[name] for one in starts]) for name in starts[0].files}
    np.savez(out / "starts.npz", **joined)  # type: ignore[arg-type]
    told = [_read(one.ingested / "decisions.json") for one in rounds]
    write_json(out / "decisions.json", told[-1] | {"decisions": len(table)})
    write_json(out / "notes.json", _read(rounds[-1].ingested / "notes.json"))


def with_mixture(
    table: pa.Table,
    policies: Mapping[str, Policy],
    catalog: ActionCatalog,
    held_out: float,
) -> pa.Table:
    """The table with the propensities of the mixture of all policies, see `pooled_logging`.

    Args:
        table: decisions of all rounds; `policy_id` says whose.
        policies: one of each round, by its id in the table.
        catalog: order of the actions.
        held_out: share of the contacts kept for evaluation.

    Raises:
        LogError: a policy is not the one that made the rows under its name.
    """
    episode = np.unique(table["episode_id"].to_numpy(), return_inverse=True)[1]
    order = np.lexsort((table["step"].to_numpy(), episode))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    rows = table.take(pa.array(order))
    n, a = len(rows), len(catalog)
    features = _wide(rows, "features").astype(np.float32).reshape(n, -1)
    mask = _wide(rows, "mask").astype(bool).reshape(n, a)
    logged = _wide(rows, "probabilities").astype(np.float64).reshape(n, a)
    # Rounds that ran alike are one policy, and asked once.
    alike = {name: json.dumps(policy.spec()) for name, policy in policies.items()}
    different = {alike[name]: policy for name, policy in policies.items()}
    number = {name: list(different).index(spec) for name, spec in alike.items()}
    whose = np.array([number[name] for name in rows["policy_id"].to_pylist()])
    action = catalog.indices(rows["action"].to_pylist())
    asked = np.stack([_asked(policy, features, mask) for policy in different.values()])
    own = asked[whose, np.arange(n)]
    far = np.abs(own - logged).max(axis=1)
    if far.max(initial=0.0) > _APART:
        at = int(far.argmax())
        raise LogError(
            f"decision {rows['decision_id'][at].as_py()} of "
            f"{rows['policy_id'][at].as_py()}: its policy gives probabilities that are "
            f"{far[at]:.2g} from the logged ones; pool logs with the policies that made them"
        )
    asked[whose, np.arange(n)] = logged
    cluster, of = np.unique(rows["cluster"].to_numpy().astype(str), return_inverse=True)
    side = np.array([held_out_share(one) < held_out for one in cluster])[of]
    pooled = np.empty((n, a))
    for part in (np.flatnonzero(side), np.flatnonzero(~side)):
        pooled[part] = _of_side(asked[:, part], action[part], episode[order][part], whose[part])
    taken = pooled[np.arange(n), action]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(pooled[place].reshape(-1)), a)
    lists = lists.cast(table.schema.field("probabilities").type)
    columns = {"probabilities": lists, "propensity": pa.array(taken[place])}
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def _of_side(
    tables: FloatArray, action: IntArray, episode: IntArray, whose: IntArray
) -> FloatArray:
    """The mixture among the held-out contacts, or among the others."""
    _, first, code = np.unique(episode, return_index=True, return_inverse=True)
    made = np.bincount(whose[first], minlength=len(tables)).astype(float)
    there = made > 0.0
    return pooled_logging(tables[there], action, code, made[there] / made.sum())


def _asked(policy: Policy, features: Any, mask: Any) -> FloatArray:
    parts = [
        policy.action_probabilities(features[at : at + _CHUNK], mask[at : at + _CHUNK])
        for at in range(0, len(mask), _CHUNK)
    ]
    return np.concatenate(parts)


def _wide(rows: pa.Table, name: str) -> Any:
    return rows[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))
