"""What loops are handed: a journey's declarations as arrays, and a world's functions as loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nurture_envs.actions import NOW
from nurture_envs.clock import HOUR_US
from nurture_envs.guardrails.remembered import sends_kept
from nurture_envs.loops import emitting, loop_records
from nurture_envs.loops.deciding import OPERATORS
from nurture_envs.loops.functions import Loop, WorldLoops
from nurture_envs.loops.guardrails import places_of, tables_of
from nurture_envs.loops.networks import learned_loops
from nurture_envs.loops.past import Late, Sets
from nurture_envs.loops.plan import plan_of, sets_of
from nurture_envs.loops.tracing import Recorder, Traced, UntraceableError
from nurture_envs.loops.watching import traced_call
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import Surroundings, View

_KINDS = (torch.float32, torch.int64, torch.bool)  # of latents, in the order of their rows
_ARRAYS = ("f", "q", "b")


def journey_of(simulation: Simulation) -> loop_records.LoopJourney:
    """The declarations of a simulation's journey."""
    catalog, journey, running = simulation.catalog, simulation.journey, simulation.running
    made, effects = simulation.effects
    slots = np.where(catalog.slots == NOW, -1.0, catalog.slots * float(HOUR_US))
    reward = journey.reward
    read, rates = len(running.late), simulation.late_rates
    kept = running.kept
    late = Late(
        _whole(running.late),
        _whole([kept.index(c) if c in kept else -1 for c in running.late]),
        _whole(simulation.late_signals[:read]),
        np.ascontiguousarray(rates[:, :read, 0].numpy(), np.float32),
        simulation.delay_stream,
    )
    index = journey.channel_index
    settings, idle = simulation.rails, simulation.rails.inactivity
    places = list(sends_kept(settings))
    conditions, thresholds = _conditions(simulation)
    return loop_records.LoopJourney(
        actions=loop_records.Actions(
            wait=catalog.wait,
            sends=catalog.routed("send"),
            calls=catalog.routed("escalate"),
            leaves=catalog.routed("exit"),
            pauses=np.where(catalog.pause_bins > 1, catalog.pause_bins, 0),
            slots=slots,
            kept=places_of(
                [a.message.groups if a.message else () for a in catalog.actions], places
            ),
            made=_whole(made),
            effects=np.ascontiguousarray(effects.numpy()).reshape(len(made), len(catalog)),
        ),
        worth=loop_records.Worth(
            channels=_whole([index(channel) for channel, _ in reward.weights]),
            weights=np.array([weight for _, weight in reward.weights], np.float32),
            prices=catalog.prices(reward).astype(np.float32),
            terminals=_whole([index(name) for name in journey.terminals]),
            talks=_whole([index(name) for name in simulation.rails.talks]),
        ),
        sets=Sets(*sets_of(running)),
        late=late,
        plan=plan_of(running),
        rules=tables_of(catalog, settings),
        conditions=conditions,
        thresholds=thresholds,
        offers=len(catalog.limited_offers),
        standing=_standing(simulation),
        activity=-1 if idle is None else running.last_row(idle.signals),
        probes=(simulation.probe_stream, 0.0 if idle is None else idle.probe_share),
        intent=not settings.escalation_needs,
        offsets=np.array(simulation.spec.clock.slots_hours, np.float64) * HOUR_US,
        period=float(simulation.spec.clock.period_hours * HOUR_US),
        horizon=simulation.spec.clock.horizon,
    )


def _standing(simulation: Simulation) -> Any:
    """The facts that follow from which signals happened when; see `LoopJourney.standing`."""
    settings, row_of = simulation.rails, simulation.running.last_row
    facts = [(0, settings.opt_out, -1), (1, settings.hard_bounce, -1)]
    facts += [(2, (name,), back) for name, back in settings.conversation]
    facts += [(3, settings.escalation_needs, -1)]
    if settings.slow is not None:
        facts.append((4, (settings.slow.signal,), settings.slow.bins - 1))
    rows = [(fact, row_of(of), most, -1) for fact, of, most in facts if of]
    for opened in settings.conversation_until:
        most = -1 if opened.bins is None else opened.bins
        closed = row_of(opened.until) if opened.until else -1
        rows.append((2, row_of((opened.signal,)), most, closed))
    return np.array(rows, np.int64).reshape(-1, 4)


def _conditions(simulation: Simulation) -> tuple[Any, Any]:
    """Who may have limited offers: offer, column and comparison, [m, 3], and thresholds, [m]."""
    offers = simulation.catalog.limited_offers
    asked = [(place, one) for place, offer in enumerate(offers) for one in offer.eligible]
    rows = [
        (place, simulation.spec.column(one.column), OPERATORS.index(one.operator))
        for place, one in asked
    ]
    thresholds = np.array([one.threshold for _, one in asked], np.float32)
    return _whole(rows).reshape(-1, 3), thresholds


def world_loops(simulation: Simulation) -> WorldLoops:
    """The world's functions as loops.

    Raises:
        UntraceableError: the world is not made of operations along contacts.
    """
    world = simulation.world
    if isinstance(world, LearnedWorld):
        return learned_loops(world, simulation)
    recorder = Recorder()
    keys = recorder.input("q", loop_records.KEY, torch.ones(1, dtype=torch.int64))
    start = traced_call(world.start, keys)
    begins = _Rows({"f": 0, "q": 1, "b": 0}, recorder)
    kept, known = simulation.running.kept, len(start.past.ring)
    numbers = [
        begins.row("f", start.attributes),
        known,
        begins.row("f", start.past.ring[:, kept].reshape(known * len(kept), 1)),
        begins.row("q", start.past.last),
        begins.row("q", start.anchor_us),
        *(begins.row("b", part) for part in (start.zone_known, start.consent, start.available)),
    ]
    latent = _ordered(start.latent)
    numbers += [begins.row(_array(part), part) for part in latent.values()]
    counts = [sum(_array(part) == array for part in latent.values()) for array in _ARRAYS]
    return WorldLoops(
        begins.loop(numbers), _answer(simulation, latent), (counts[0], counts[1], counts[2]), known
    )


def _answer(simulation: Simulation, latent: dict[str, Tensor]) -> Loop:
    """The loop of `respond`, whose inputs are latents of that kind."""
    recorder = Recorder()
    places = {"f": loop_records.SHARE + 1, "q": loop_records.ANCHOR + 1, "b": 0}
    known: dict[str, Tensor] = {}
    for name, part in latent.items():
        array = _array(part)
        known[name] = recorder.input(array, places[array], _plain(part))
        places[array] += 1

    def row(array: str, at: int, dtype: torch.dtype) -> Tensor:
        return recorder.input(array, at, torch.zeros(1, dtype=dtype))

    reads, width = places["f"], len(simulation.spec.columns)
    places["f"] += width
    view = View(
        features=recorder.input("f", reads, torch.zeros(width, 1)),
        action=row("q", loop_records.ACTION, torch.int64),
        bins=row("q", loop_records.BINS, torch.int64),
        anchor_us=row("q", loop_records.ANCHOR, torch.int64),
        latent=known,
        around=Surroundings(
            *(
                row("f", at, torch.float32)
                for at in (loop_records.SENDS, loop_records.TALKS, loop_records.SHARE)
            )
        ),
    )
    before = {name: recorder.places_of(part).clone() for name, part in known.items()}
    outcome = traced_call(simulation.world.respond, view, row("q", loop_records.KEY, torch.int64))
    answers = _Rows(places, recorder)
    numbers = [answers.row("f", outcome.amounts), answers.row("b", outcome.available)]
    after = {name: outcome.latent.get(name, known[name]) for name in known}
    for name, part in after.items():
        stays = isinstance(part, Traced) and torch.equal(part.places, before[name])
        numbers.append(-1 if stays else answers.row(_array(part), part))
    used = answers.reads(range(reads, reads + width))
    return answers.loop([reads if used else -1, *numbers])


class _Rows:
    """Rows of scratch for the results of a traced function."""

    def __init__(self, taken: dict[str, int], recorder: Recorder) -> None:
        self._next, self._recorder = dict(taken), recorder
        self._results: list[tuple[str, int, int]] = []

    def row(self, array: str, value: Tensor) -> int:
        """The first of the rows a result goes to."""
        kind = {"f": "float32", "q": "int64", "b": "bool"}[array]
        first = self._next[array]
        for place in self._recorder.places_of(value).reshape(-1).tolist():
            self._results.append((array, self._next[array], self._recorder.cast(place, kind)))
            self._next[array] += 1
        return first

    def reads(self, rows: range) -> bool:
        """Whether results depend on any of these rows of floats."""
        return emitting.Writer(self._recorder, self._next, self._results).reads("f", rows)

    def loop(self, numbers: list[int]) -> Loop:
        """The function, with the numbers of its rows."""
        made = emitting.Writer(self._recorder, self._next, self._results).written()
        model = loop_records.Model(*made.constants, *made.tables, _whole(numbers))
        return Loop(made.run, model, made.rows)


def _ordered(latent: dict[str, Tensor]) -> dict[str, Tensor]:
    """Latents by kind."""
    wrong = {name: part.dtype for name, part in latent.items() if part.dtype not in _KINDS}
    if wrong:
        raise UntraceableError(f"latents must be float32, int64 or bool, got {wrong}")
    return {k: v for kind in _KINDS for k, v in latent.items() if v.dtype == kind}


def _array(part: Tensor) -> str:
    return _ARRAYS[_KINDS.index(part.dtype)]


def _plain(part: Tensor) -> Tensor:
    return torch.zeros(part.shape, dtype=part.dtype)


def _whole(values: Any) -> Any:
    return np.array(values, np.int64).reshape(-1)
