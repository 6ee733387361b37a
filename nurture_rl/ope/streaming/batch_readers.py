"""From batches of a Parquet table to decisions, with what is wrong with each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.errors import LogError
from nurture_rl.ope.contact_hash import HashArray, text_ids
from nurture_rl.ope.log import BoolArray, FloatArray, IntArray
from nurture_rl.ope.log_checks import TOLERANCE, require_probabilities
from nurture_rl.ope.streaming.decision_columns import DecisionColumns, FaultArray, faults
from nurture_rl.ope.targets import TargetPolicy

OutcomeModel = Callable[[NDArray[np.float32], BoolArray], FloatArray]  # [n, d], [n, a] -> [n, a]

_NO_CONTACT, _ILLEGAL, _NO_DISTRIBUTION, _INCONSISTENT = 1, 8, 9, 10


class Reader(Protocol):
    """What turns a batch into decisions."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns that are read."""
        ...

    @property
    def name(self) -> str:
        """Tells one reader from another whose sums must not be mixed with its own."""
        ...

    def rows(self, batch: pa.RecordBatch) -> tuple[DecisionColumns, FaultArray]:
        """The batch's decisions, also those that cannot be used, and their faults, [n]."""
        ...


@dataclass(frozen=True, slots=True)
class ColumnReader:
    """Reads tables that hold the target's probability and the model's answers per decision."""

    contact: str = "contact_id"  # whole numbers or text
    reward: str = "reward"
    propensity: str = "propensity"
    taken: str = "target_probability"  # of the logged action
    q_logged: str | None = "q_logged"  # modelled reward of the logged action; None: no model
    value: str | None = "q_target"  # modelled reward under the target; None: no model
    groups: tuple[str, ...] = ()  # codes from 0, such as week, action or logger

    @property
    def columns(self) -> Sequence[str]:
        """Columns that are read."""
        model = [name for name in (self.q_logged, self.value) if name is not None]
        return [self.contact, self.reward, self.propensity, self.taken, *model, *self.groups]

    @property
    def name(self) -> str:
        """The columns."""
        return repr(asdict(self))

    def rows(self, batch: pa.RecordBatch) -> tuple[DecisionColumns, FaultArray]:
        """The batch's decisions and their faults, [n]."""
        contact, missing = contact_ids(batch[self.contact])
        nothing = np.broadcast_to(0.0, len(batch))
        decisions = DecisionColumns(
            contact=contact,
            taken=_floats(batch[self.taken]),
            propensity=_floats(batch[self.propensity]),
            reward=_floats(batch[self.reward]),
            q_logged=nothing if self.q_logged is None else _floats(batch[self.q_logged]),
            value=nothing if self.value is None else _floats(batch[self.value]),
            groups={name: _codes(batch[name]) for name in self.groups},
        )
        wrong = faults(decisions)
        if missing is not None:
            wrong[missing] = _NO_CONTACT
        return decisions, wrong


@dataclass(frozen=True, slots=True, eq=False)
class PolicyReader:
    """Reads a decision table and asks the target policy, and a model, batch by batch.

    Columns are those of decision tables: `contact_id`, `action` (an id of the catalogue),
    `propensity`, `probabilities`, `mask`, `features` and `reward`.
    """

    policy: TargetPolicy
    actions: tuple[str, ...]  # ids in catalogue order, [a]
    name: str  # tells this policy and model from others
    model: OutcomeModel | None = None  # fitted on other contacts
    groups: tuple[str, ...] = ()  # codes from 0

    @property
    def columns(self) -> Sequence[str]:
        """Columns that are read."""
        own = ("contact_id", "action", "propensity", "probabilities", "mask", "features", "reward")
        return [*own, *self.groups]

    def rows(self, batch: pa.RecordBatch) -> tuple[DecisionColumns, FaultArray]:
        """The batch's decisions and their faults, [n].

        Raises:
            ProbabilityError, ShapeError: the policy's answer is no distribution over legal actions.
            LogError: lists that do not have one entry per action.
        """
        a, every = len(self.actions), np.arange(len(batch))
        ids = pc.index_in(batch["action"], value_set=pa.array(self.actions))
        action = _codes(ids)
        mask = _matrix(batch["mask"], a, "mask").astype(np.bool_)
        logged = _matrix(batch["probabilities"], a, "probabilities").astype(np.float64)
        features = _matrix(batch["features"], None, "features").astype(np.float32)
        place = np.maximum(action, 0)
        illegal = (action < 0) | ~mask[every, place]
        # A row without a legal action is at fault; the policy is asked as if all were legal.
        asked = np.where(mask.any(axis=1, keepdims=True), mask, True)
        target = np.asarray(self.policy.action_probabilities(features, asked), dtype=np.float64)
        require_probabilities(target, asked, f"policy {self.name!r}")
        q = np.zeros(target.shape) if self.model is None else self.model(features, asked)
        contact, missing = contact_ids(batch["contact_id"])
        decisions = DecisionColumns(
            contact=contact,
            taken=target[every, place],
            propensity=_floats(batch["propensity"]),
            reward=_floats(batch["reward"]),
            q_logged=q[every, place],
            value=np.einsum("na,na->n", target, q),
            groups={name: _codes(batch[name]) for name in self.groups},
        )
        wrong = faults(decisions)
        off = ~(np.abs(logged[every, place] - decisions.propensity) <= TOLERANCE)
        stray = ~(np.abs(logged.sum(axis=1) - 1.0) <= TOLERANCE) | ~(logged >= 0.0).all(axis=1)
        stray |= ((logged != 0.0) & ~mask).any(axis=1)
        for reason, rows in ((_ILLEGAL, illegal), (_NO_DISTRIBUTION, stray), (_INCONSISTENT, off)):
            wrong = np.where((wrong == 0) & rows, reason, wrong).astype(np.int8)
        if missing is not None:
            wrong[missing] = _NO_CONTACT
        return decisions, wrong


def contact_ids(column: pa.Array) -> tuple[HashArray, BoolArray | None]:
    """64-bit numbers of contacts, [n], and where none is named; None if all are.

    Whole numbers stand for themselves, texts for a fixed hash of their bytes.

    Raises:
        LogError: the column holds something else.
    """
    missing = None
    if column.null_count:
        missing = np.asarray(column.is_null())
        column = column.fill_null("" if _is_text(column.type) else 0)
    if pa.types.is_integer(column.type):
        numbers = column.to_numpy(zero_copy_only=False)
        return numbers.astype(np.int64, copy=False).view(np.uint64), missing
    if not _is_text(column.type):
        raise LogError(f"contacts are named by whole numbers or text, got {column.type}")
    text = column.cast(pa.large_string())
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return text_ids(content, ends), missing


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _floats(column: pa.Array) -> FloatArray:
    """A column of numbers, NaN where there is none, [n]."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _codes(column: pa.Array) -> IntArray:
    """A column of whole numbers, -1 where there is none, [n]."""
    filled = column.fill_null(-1) if column.null_count else column
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=np.int64)


def _matrix(column: pa.Array, width: int | None, name: str) -> NDArray[Any]:
    """A column of equally long lists, [n, width]."""
    flat = column.flatten()
    columns = len(flat) // max(len(column), 1)
    even = pc.all(pc.equal(pc.list_value_length(column), columns)).as_py()
    if column.null_count or not even or (width is not None and columns != width):
        raise LogError(
            f"{name} must hold one list of {width or 'one length'} per decision; write the table "
            "with the catalogue that is read with it"
        )
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(column), columns)
