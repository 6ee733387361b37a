"""`hydra/sweeper=optuna`: a search that asks Optuna for settings and tells it what they earned.

Hydra imports this module whenever it starts, so Optuna itself is imported when it is asked for.
"""

# Hydra 1.3 does not find a dataclass in a module with postponed annotations.
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig

_ABANDONED = "abandoned"  # mark of a trial that a killed sweep left open


@dataclass
class OptunaConfig:
    """What the search can be told."""

    _target_: str = "hydra_plugins.nurture_sweeps.optuna_sweeper.OptunaSweeper"
    n_trials: int = 20  # runs in all, those of earlier starts counted, >= 1
    n_jobs: int = 1  # asked for at a time, >= 1: as many as the launcher runs side by side
    sampler: str = "tpe"  # or "random"
    seed: int = 0  # of the sampler
    # Where the search is kept, to be gone on with; null: SQLite in the sweep's folder.
    storage: str | None = None
    study: str | None = None  # its name there; null: by what was typed, and by the code
    # Space as `key: interval(0.1, 10)`, beside what is typed.
    params: dict[str, str] | None = field(default_factory=dict)


ConfigStore.instance().store(
    group="hydra/sweeper", name="optuna", node=OptunaConfig, provider="nurture_rl"
)


class OptunaSweeper(Sweeper):
    """Makes the objective of a verb as large as it can; runs without a number count as failed.

    Args:
        n_trials, n_jobs, sampler, seed, storage, study, params: see `OptunaConfig`.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        sampler: str,
        seed: int,
        storage: str | None,
        study: str | None,
        params: dict[str, str] | None,
    ) -> None:
        self._n_trials, self._n_jobs = n_trials, n_jobs
        self._sampler, self._seed = sampler, seed
        self._storage, self._study = storage, study
        self._params = dict(params or {})

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """See `Sweeper`."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> float:
        """Search; the highest objective, not a number where no run has one."""
        assert self.hydra_context is not None
        optuna = _imported()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        words = [*(f"{key}={value}" for key, value in self._params.items()), *arguments]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides(words)
        fixed = [str(one.input_line) for one in overrides if not one.is_sweep_override()]
        swept = [one for one in overrides if one.is_sweep_override()]
        space = {one.get_key_element(): _distribution(optuna, one) for one in swept}
        if not space:
            raise HydraException("expected settings to search over, such as a=interval(0.1,10)")
        study = self._opened(optuna, words)
        _begin_again(optuna, study)
        while (done := _over(optuna, study)) < self._n_trials:
            asked = min(self._n_jobs, self._n_trials - done)
            trials = [study.ask(space) for _ in range(asked)]
            jobs = [
                [*fixed, *(f"{key}={value}" for key, value in trial.params.items())]
                for trial in trials
            ]
            self.validate_batch_is_legal(jobs)
            # Trials are told one after the other, so runs are numbered by how many are over.
            results = self.launcher.launch(jobs, initial_job_idx=done)
            for trial, result in zip(trials, results, strict=True):
                value = result.return_value
                if isinstance(value, float) and isfinite(value):
                    study.tell(trial, value)
                else:
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
        complete = study.get_trials(states=[optuna.trial.TrialState.COMPLETE], deepcopy=False)
        return max((float(trial.value) for trial in complete), default=float("nan"))

    def _opened(self, optuna: Any, words: list[str]) -> Any:
        from nurture_rl.cli.sweeps import sweep_name
        from nurture_rl.workflow.stages import code_hash

        assert self.config is not None
        sweep = Path(str(self.config.hydra.sweep.dir)).resolve()
        sweep.mkdir(parents=True, exist_ok=True)
        name = self._study or sweep_name(str(self.config.hydra.job.name), [*words, code_hash()])
        study = optuna.create_study(
            storage=self._storage or f"sqlite:///{sweep / 'optuna.db'}",
            study_name=name,
            direction="maximize",
            load_if_exists=True,
        )
        # A search that goes on must not draw again what it began with.
        seed = self._seed + len(study.get_trials(deepcopy=False))
        samplers = {
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=self._n_jobs > 1),
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        }
        if self._sampler not in samplers:
            known = ", ".join(samplers)
            raise HydraException(
                f"hydra.sweeper.sampler: expected one of {known}, got {self._sampler!r}"
            )
        study.sampler = samplers[self._sampler]()
        return study


def _imported() -> Any:
    """Optuna.

    Raises:
        ImportError: the extra is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            "hydra/sweeper=optuna: expected the package optuna, it is not installed; "
            "pip install 'nurture-rl[optuna]'"
        ) from error
    return optuna


def _begin_again(optuna: Any, study: Any) -> None:
    """Ask again, and first, what a killed sweep left open: what was finished of it is known."""
    running = optuna.trial.TrialState.RUNNING
    for trial in study.get_trials(states=[running]):
        study.enqueue_trial(trial.params)
        study._storage.set_trial_user_attr(trial._trial_id, _ABANDONED, True)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def _over(optuna: Any, study: Any) -> int:
    """Trials that are over."""
    ends = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)
    trials = study.get_trials(states=ends, deepcopy=False)
    return sum(_ABANDONED not in trial.user_attrs for trial in trials)


def _distribution(optuna: Any, override: Override) -> Any:
    """What one setting may be."""
    value = override.value()
    log = "log" in getattr(value, "tags", ())
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        assert low is not None
        assert high is not None
        if isinstance(low, int) and isinstance(high, int):
            return optuna.distributions.IntDistribution(low, high, log=log)
        return optuna.distributions.FloatDistribution(float(low), float(high), log=log)
    if isinstance(value, RangeSweep) and all(
        isinstance(one, int) for one in (value.start, value.stop, value.step)
    ):
        start, stop, step = value.start, value.stop, value.step
        assert isinstance(start, int)
        assert isinstance(stop, int)
        assert isinstance(step, int)
        last = start + (stop - 1 - start) // step * step  # the stop itself is left out
        return optuna.distributions.IntDistribution(start, last, step=step)
    return optuna.distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
