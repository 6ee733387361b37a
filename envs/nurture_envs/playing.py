"""Who plays the contacts of a simulation: compiled loops where they can, plain torch elsewhere."""

from __future__ import annotations

from nurture_envs.compiling import against_numba, warn_of_slow_path
from nurture_envs.errors import SimulationError
from nurture_envs.guardrails.remembered import moments_watched
from nurture_envs.player_protocol import BlockThreads, PlainPlayer, Player
from nurture_envs.simulation import Simulation

_WHAT = "contacts are played by torch"


def player(simulation: Simulation, autoreset: bool, block: int) -> Player:
    """Plays a simulation's contacts with the results of plain torch, to the last bit.

    The world answers in torch; everything else of a bin is compiled loops. Where loops cannot
    play, torch does, and a `SlowPathWarning` says so once a process and cause.

    Args:
        simulation: what is played, and by what (`compiled`).
        autoreset: whether new episodes begin where old ones ended.
        block: contacts that are played together, at most.

    Raises:
        SimulationError: compiled loops are insisted on and cannot play this.
    """
    crew = BlockThreads(1)
    leaving = simulation.population is not None and not autoreset
    if _reason(simulation, "contacts of a population leave it one by one" if leaving else ""):
        return PlainPlayer(simulation, autoreset, block, crew)
    from nurture_envs.loops.player import loop_player

    return loop_player(simulation, False, autoreset, block, crew)


def loops_are_kept() -> bool:
    """Whether the loops that play contacts lie on disk; else the first play compiles them.

    That takes up to a minute of a processor, once per installation.
    """
    if against_numba():
        return False
    from nurture_envs.jit import is_kept
    from nurture_envs.loops.play import close

    return is_kept(close)


def fastest_player(
    simulation: Simulation, autoreset: bool, block: int, crew: BlockThreads
) -> tuple[Player, str]:
    """As `player`, but with the world's answers as loops, too; and who plays, in words.

    A chance within rounding of its draw may fall another way than in torch.

    Args:
        simulation, autoreset, block: see `player`.
        crew: plays blocks at the same time.

    Raises:
        SimulationError: compiled loops are insisted on and cannot play this.
    """
    reason = "pessimism asks every member about every bin" if simulation.pessimism else ""
    reason = _reason(simulation, reason)
    if not reason:
        from nurture_envs.loops.player import loop_player
        from nurture_envs.loops.tracing import UntraceableError

        try:
            return loop_player(simulation, True, autoreset, block, crew), "compiled loops"
        except UntraceableError as error:
            if simulation.compiled:
                raise
            reason = str(error)
            if simulation.compiled is None:
                warn_of_slow_path(_WHAT, reason)
    return PlainPlayer(simulation, autoreset, block, crew), f"torch: {reason}"


def _reason(simulation: Simulation, more: str = "") -> str:
    """Why torch plays a simulation, which is said; empty where loops can.

    Args:
        simulation: what is played.
        more: another reason against loops.
    """
    if simulation.compiled is False:
        return "asked for"
    reason = more or against_numba()
    if moments_watched(simulation.rails):
        reason = "mail waits for answers, or after visits"
    if simulation.device.type != "cpu":
        reason = f"contacts live on {simulation.device}, not on a CPU"
    if simulation.compiled and reason:
        raise SimulationError(f"compiled loops cannot play this: {reason}; leave `compiled` out")
    if reason:
        warn_of_slow_path(_WHAT, reason)
    return reason
