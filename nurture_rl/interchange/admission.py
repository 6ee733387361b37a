"""Foreign decisions at the door: what can be used becomes an evaluation log, the rest is named.

Every door (tables, bandit feedback, episodes of other libraries) reads its source into
`LoggedRows`; `admit` checks each row, sets aside what cannot be used with its place and reason, and
refuses the whole where too much of it is bad.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ConfigError, LogError, PropensityError, ShapeError
from nurture_rl.interchange.logged_rows import (
    FloatArray,
    IntArray,
    LoggedRows,
    Meaning,
    RefusedRow,
    Texts,
)
from nurture_rl.interchange.rounding import whole_rows
from nurture_rl.interchange.row_checks import first_faults
from nurture_rl.logs.quarantine import BROKEN, causes_first
from nurture_rl.ope.log import EvaluationLog, evaluation_log
from nurture_rl.ope.numbering import numbered


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """A foreign log, checked."""

    source: str
    log: EvaluationLog
    meaning: Meaning
    targets: Mapping[str, FloatArray]  # policies given by their probabilities, [N, a] each
    day: NDArray[np.datetime64] | None  # of each decision, [N]
    segments: Mapping[str, Texts]  # labels of each decision by name, [N] each
    outcomes: Mapping[str, FloatArray]  # beside the reward, by name, [N] each
    line: IntArray  # where each decision stands in the source, [N]
    read: int  # rows of the source, refused ones included
    refused: tuple[RefusedRow, ...]
    notes: tuple[str, ...]
    fingerprint: str  # SHA-256 of the admitted numbers


def admit(rows: LoggedRows, max_refused: float) -> Admission:
    """Check every row and make an evaluation log of the good ones.

    A decision that cannot be used takes its whole episode with it: what is left of one would be
    weighted as if nothing had been decided in between.

    Args:
        rows: the source's decisions.
        max_refused: largest share of rows that may be set aside, in [0, 1].

    Raises:
        ConfigError: an action or a feature that is named twice.
        ShapeError: masks or distributions over another number of actions than are named.
        LogError: nothing to read, or a larger share than `max_refused` is bad.
        PropensityError: the same, where most of what is bad is a propensity.
    """
    kept, refused = sifted(rows)
    read = rows.line.size + len(rows.broken)
    require_share((rows.source, rows.place), refused, read, max_refused)
    return admitted(rows, kept, refused)


def sifted(rows: LoggedRows) -> tuple[IntArray, tuple[RefusedRow, ...]]:
    """Positions of the rows that can be used, and the others with their reasons.

    Raises:
        ConfigError: an action or a feature that is named twice.
        ShapeError: masks or distributions over another number of actions than are named.
    """
    _require_meaning(rows)
    faults = first_faults(rows)
    _break_episodes(rows, faults)
    bad = np.flatnonzero(faults != "")
    refused = rows.broken + tuple(
        RefusedRow(rows.source, int(rows.line[i]), str(faults[i])) for i in bad
    )
    return np.flatnonzero(faults == ""), refused


def admitted(rows: LoggedRows, kept: IntArray, refused: tuple[RefusedRow, ...]) -> Admission:
    """The evaluation log of the rows that can be used, at least one.

    Args:
        rows: the source's decisions.
        kept: positions of those that can be used.
        refused: the others.
    """
    read = rows.line.size + len(rows.broken)
    kept = kept[np.lexsort((rows.step[kept], rows.episode[kept]))]
    rows = whole_rows(rows, kept)
    log = _log_of(rows, kept)
    return Admission(
        source=rows.source,
        log=log,
        meaning=rows.meaning,
        targets={name: table[kept] for name, table in rows.targets.items()},
        day=None if rows.day is None else rows.day[kept],
        segments={name: labels[kept] for name, labels in rows.segments.items()},
        outcomes={name: values[kept] for name, values in rows.outcomes.items()},
        line=rows.line[kept],
        read=read,
        refused=tuple(sorted(refused, key=lambda row: row.line)),
        notes=rows.notes,
        fingerprint=log_fingerprint(log),
    )


def reasons_counted(refused: tuple[RefusedRow, ...]) -> list[tuple[str, int, RefusedRow]]:
    """Kinds of problem, causes first, each with its count and first example."""
    kinds = Counter(row.reason.split(":")[0] for row in refused)
    first = {row.reason.split(":")[0]: row for row in sorted(refused, key=lambda r: -r.line)}
    return [(kind, count, first[kind]) for kind, count in causes_first(kinds)]


def log_fingerprint(log: EvaluationLog) -> str:
    """SHA-256 of a log's numbers, in hex."""
    digest = hashlib.sha256()
    for name in EvaluationLog.__slots__:
        value = getattr(log, name)
        digest.update(name.encode())
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype.str} {value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def _require_meaning(rows: LoggedRows) -> None:
    """Names that stand for one thing each, and as many actions as tables have columns."""
    a = len(rows.meaning.actions)
    for what, names in (("action", rows.meaning.actions), ("feature", rows.meaning.features)):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ConfigError(
                f"expected each {what} of {rows.source} once, got {', '.join(map(repr, twice))} "
                f"more than once among {', '.join(names)}; name each one once"
            )
    tables = {"mask": rows.mask, **rows.targets}
    tables |= {} if rows.logged is None else {"logged distribution": rows.logged}
    for name, table in tables.items():
        if table.shape[1:] != (a,):
            raise ShapeError(
                f"{a} actions are named for {rows.source} ({', '.join(rows.meaning.actions)}), "
                f"but {name!r} has {table.shape[1]} columns; name every action once, in its order"
            )


def _break_episodes(rows: LoggedRows, faults: Texts) -> None:
    """Set aside what belongs to an episode with a bad row; a second copy of a row breaks none."""
    bad = faults != ""
    first_bad: dict[int, int] = {}
    for i in np.flatnonzero(bad)[::-1]:
        if not str(faults[i]).startswith("duplicate:"):
            first_bad[int(rows.episode[i])] = int(i)
    if not first_bad:
        return
    beside = np.flatnonzero(~bad & np.isin(rows.episode, list(first_bad)))
    for i in beside:
        other = first_bad[int(rows.episode[i])]
        faults[i] = (
            f"{BROKEN}: its decision in {rows.place} {rows.line[other]} cannot be used "
            f"({faults[other].split(':')[0]})"
        )


def require_share(
    source: tuple[str, str], refused: tuple[RefusedRow, ...], read: int, max_refused: float
) -> None:
    """Refuse a log of which too much cannot be used.

    Args:
        source: its name, and what its rows are called.
        refused: rows that cannot be used.
        read: rows in all.
        max_refused: largest share of them, in [0, 1].

    Raises:
        LogError: nothing to read, or too many are bad.
        PropensityError: the same, where most of what is bad is a propensity.
    """
    name, place = source
    if read == 0:
        raise LogError(f"{name} holds no decision; expected one row per decision")
    if len(refused) <= max_refused * read and len(refused) < read:
        return
    kinds = reasons_counted(refused)
    told = "; ".join(
        f"{count} with {kind} (first {place} {row.line}: {row.reason.split(':', 1)[-1].strip()})"
        for kind, count, row in kinds[:3]
    )
    error = PropensityError if kinds[0][0].endswith("propensity") else LogError
    raise error(
        f"{len(refused)} of {read} rows of {name} cannot be used, more than "
        f"{max_refused:.0%}: {told}; mend the log, or allow more by data.max_refused"
    )


def _log_of(rows: LoggedRows, kept: IntArray) -> EvaluationLog:
    episode, _ = numbered(rows.episode[kept])
    begins = np.append(True, np.diff(episode) != 0)
    ends = np.append(begins[1:], True)
    cluster, _ = numbered(rows.contact[kept][begins])
    return evaluation_log(
        features=rows.features[kept],
        mask=rows.mask[kept],
        action=rows.action[kept],
        propensity=np.minimum(rows.propensity[kept], 1.0),
        logged_probabilities=None if rows.logged is None else rows.logged[kept],
        reward=rows.reward[kept],
        episode=episode,
        step=rows.step[kept],
        cluster=cluster,
        terminal=ends if rows.terminal is None else rows.terminal[kept],
        action_factors=rows.meaning.factors,
        discount=rows.meaning.discount,
        unit=rows.meaning.unit,
    )
