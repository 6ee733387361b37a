"""`hydra/sweeper=optuna`: a search that asks Optuna for settings and tells it what they earned.

Hydra imports this module whenever it starts, so Optuna itself is imported when it is asked for.
"""

# Hydra 1.3 does not find a dataclass in a module with postponed annotations.
import sys
from contextlib import AbstractContextManager
from copy import deepcopy
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
from omegaconf import DictConfig, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

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
    study: str | None = None  # its name there; null: by what was typed, settings, code and log
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
        """Search; the highest objective, not a number where no run has one.

        Raises:
            HydraException: a setting of the search is out of range.
        """
        assert self.hydra_context is not None
        self._require_settings()
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
        with self._alone():
            return self._search(optuna, self._opened(optuna, words), fixed, space)

    def _search(self, optuna: Any, study: Any, fixed: list[str], space: dict[str, Any]) -> float:
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

    def _require_settings(self) -> None:
        for name, value in (("n_trials", self._n_trials), ("n_jobs", self._n_jobs)):
            if value < 1:
                raise HydraException(f"hydra.sweeper.{name}: expected 1 or more, got {value}")
        if self._sampler not in ("tpe", "random"):
            raise HydraException(
                f"hydra.sweeper.sampler: expected one of tpe, random, got {self._sampler!r}"
            )

    def _folder(self) -> Path:
        assert self.config is not None
        return Path(str(self.config.hydra.sweep.dir)).resolve()

    def _alone(self) -> AbstractContextManager[None]:
        """One process at a time: another one would take open trials for those of a killed sweep."""
        from nurture_rl.logs.alone import alone

        def waits() -> None:
            print("another process is at this search, waiting for it", file=sys.stderr, flush=True)

        self._folder().mkdir(parents=True, exist_ok=True)
        return alone(self._folder() / ".search.lock", waits)

    def _known(self) -> str:
        """Names all that the runs depend on, with what is searched left as it is."""
        from nurture_envs.errors import NurtureError
        from nurture_rl.cli.loading import load
        from nurture_rl.cli.verbs import VERBS
        from nurture_rl.workflow.stages import code_hash

        config = deepcopy(self.config)
        assert config is not None
        verb = VERBS[str(config.hydra.job.name)]
        with read_write(config), open_dict(config):
            del config["hydra"]
        try:
            return str(load(verb.keyed)(config, verb.name)) if verb.keyed else code_hash()
        except (NurtureError, OmegaConfBaseException):  # it cannot do without what is searched
            return code_hash()

    def _opened(self, optuna: Any, words: list[str]) -> Any:
        from nurture_rl.cli.sweeps import sweep_name

        assert self.config is not None
        name = self._study or sweep_name(str(self.config.hydra.job.name), [*words, self._known()])
        study = optuna.create_study(
            storage=self._storage or f"sqlite:///{self._folder() / 'optuna.db'}",
            study_name=name,
            direction="maximize",
            load_if_exists=True,
        )
        # A search that goes on must not draw again what it began with.
        seed = self._seed + len(study.get_trials(deepcopy=False))
        study.sampler = (
            optuna.samplers.RandomSampler(seed=seed)
            if self._sampler == "random"
            else optuna.samplers.TPESampler(seed=seed, constant_liar=self._n_jobs > 1)
        )
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
    """What one setting may be.

    Raises:
        HydraException: nothing lies between its ends, or they have no logarithm.
    """
    try:
        return _space(optuna, override)
    except ValueError as error:
        raise HydraException(f"{override.input_line}: {error}") from error


def _space(optuna: Any, override: Override) -> Any:
    value = override.value()
    log = "log" in getattr(value, "tags", ())
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        assert low is not None
        assert high is not None
        if isinstance(low, int) and isinstance(high, int):
            return optuna.distributions.IntDistribution(low, high, log=log)
        return optuna.distributions.FloatDistribution(float(low), float(high), log=log)
    whole = isinstance(value, RangeSweep) and all(
        isinstance(one, int) for one in (value.start, value.stop, value.step)
    )
    if isinstance(value, RangeSweep) and whole and value.step > 0:
        start, stop, step = value.start, value.stop, value.step
        assert isinstance(start, int)
        assert isinstance(stop, int)
        assert isinstance(step, int)
        last = start + (stop - 1 - start) // step * step  # the stop itself is left out
        return optuna.distributions.IntDistribution(start, last, step=step)
    return optuna.distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
