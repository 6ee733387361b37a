"""Which actions are taken when: as logged, by the candidate and by the reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_rl.report.source import ReportInput, listed, numbers, pick

FloatArray = NDArray[np.float64]
ROUTINGS = ("send", "escalate", "pause", "exit")  # the order in which they are stacked


def mix_names(source: ReportInput) -> tuple[str | None, ...]:
    """Policies whose mix is known: None for the log's own, then candidate and reference."""
    wanted = dict.fromkeys((None, source.candidate, source.reference))
    return tuple(name for name in wanted if mix_of(source, name) is not None)


def mix_of(source: ReportInput, name: str | None) -> FloatArray | None:
    """Share of each action by bin, [S, a], over the log's contexts, else in the simulator."""
    ope, simulator = source.ope, pick(source.evaluation, "simulator")
    if name is None:
        return _table(source, listed(ope, "logged_mix"))
    by_log = _table(source, listed(ope, "policies", name, "action_mix"))
    if by_log is not None:
        return by_log
    return _table(source, listed(simulator, "policies", name, "action_mix"))


def single_bin(source: ReportInput) -> bool:
    """Whether there is no time along which a mix could change."""
    mixes = [mix_of(source, name) for name in mix_names(source)]
    return bool(mixes) and all(mix is not None and len(mix) == 1 for mix in mixes)


def action_shares(source: ReportInput, name: str | None) -> list[float]:
    """Share of each action over all bins alike, [a]."""
    mix = mix_of(source, name)
    return [] if mix is None else [float(share) for share in mix.mean(axis=0)]


def routing_shares(source: ReportInput, mix: FloatArray) -> dict[str, FloatArray]:
    """Share of each routing by bin, [S] each."""
    routing = np.array([str(name) for name in listed(source.evaluation, "routing")])
    known = [*ROUTINGS, *sorted(set(routing.tolist()) - set(ROUTINGS))]
    return {name: mix[:, routing == name].sum(axis=1) for name in known if (routing == name).any()}


def bins_of(source: ReportInput, mix: FloatArray) -> FloatArray:
    """The bins a mix is about, [S]."""
    steps = numbers(source.ope, "steps")
    if len(steps) != len(mix) or None in steps:
        return np.arange(len(mix), dtype=np.float64)
    return np.array(steps, dtype=np.float64)


def _table(source: ReportInput, rows: object) -> FloatArray | None:
    """Rows of numbers as [S, a]; None when they do not fit the catalogue."""
    ids, routing = (listed(source.evaluation, key) for key in ("actions", "routing"))
    shares = [numbers(row) for row in listed({"rows": rows}, "rows")]
    fits = (
        shares and ids and len(ids) == len(routing) and all(len(row) == len(ids) for row in shares)
    )
    return np.nan_to_num(np.array(shares, dtype=np.float64)) if fits else None
