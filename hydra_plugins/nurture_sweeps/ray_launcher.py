"""`hydra/launcher=ray`: runs of a sweep as tasks of Ray, on this machine or on a cluster.

Hydra imports this module whenever it starts, so Ray itself is imported when it is asked for.
"""

# Hydra 1.3 does not find a dataclass in a module with postponed annotations.
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict

_PATIENCE = 10.0  # seconds for a cluster to take a connection
# Of a Ray on this machine alone; who set them otherwise knows why.
_LOCAL = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass
class RayConfig:
    """What the launcher can be told."""

    _target_: str = "hydra_plugins.nurture_sweeps.ray_launcher.RayLauncher"
    # Of `ray.init`, such as `+hydra.launcher.init.num_cpus=2`; without `address` Ray is started on
    # this machine, `+hydra.launcher.init.address=auto` or `=HOST:PORT` is a cluster that is there.
    init: dict[str, Any] = field(default_factory=dict)
    # Of `ray.remote`, such as `+hydra.launcher.task.num_gpus=1`: what one run takes. A run whose
    # worker is lost is begun again `max_retries` times.
    task: dict[str, Any] = field(default_factory=lambda: {"num_cpus": 1, "max_retries": 3})


ConfigStore.instance().store(
    group="hydra/launcher", name="ray", node=RayConfig, provider="nurture_rl"
)


class RayLauncher(Launcher):
    """One task for each run; a run that Ray loses is marked as failed and ends no other.

    Args:
        init: of `ray.init`.
        task: of `ray.remote`.
    """

    def __init__(self, init: DictConfig, task: DictConfig) -> None:
        self._init, self._task = init, task

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """See `Launcher`."""
        self._context, self._function, self._config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run every set of overrides; results in their order."""
        setup_globals()
        configure_log(self._config.hydra.hydra_logging, self._config.hydra.verbose)
        sweep = Path(str(self._config.hydra.sweep.dir))
        sweep.mkdir(parents=True, exist_ok=True)
        ray = _started(_plain(self._init))
        remote = ray.remote(**_plain(self._task))(_run)
        number_of = {}
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            given = (list(overrides), number, Singleton.get_state(), str(Path.cwd()))
            number_of[remote.remote(self._context, self._function, self._config, *given)] = number
        results: dict[int, JobReturn] = {}
        waiting = list(number_of)
        while waiting:
            (ready, *_), waiting = ray.wait(waiting)
            number = number_of[ready]
            try:
                results[number] = ray.get(ready)
            except ray.exceptions.RayError as error:
                overrides = job_overrides[number - initial_job_idx]
                results[number] = self._lost(sweep, number, overrides, error)
        return [results[number] for number in sorted(results)]

    def _lost(
        self, sweep: Path, number: int, overrides: Sequence[str], error: Exception
    ) -> JobReturn:
        from nurture_rl.cli.sweeps import Place, mark_lost

        place = Place(sweep / str(number), number, tuple(overrides))
        said = str(error).partition("\n")[0] or type(error).__name__
        reason = f"its worker was lost: {said}"
        mark_lost(str(self._config.hydra.job.name), place, reason)
        lost = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
        lost.return_value = float("nan")
        return lost


def _plain(config: DictConfig) -> dict[str, Any]:
    values = OmegaConf.to_container(config)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _started(init: dict[str, Any]) -> Any:
    """Ray, connected to a cluster or started here.

    Raises:
        ImportError: the extra is not installed.
        HydraException: there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "hydra/launcher=ray: expected the package ray, it is not installed; "
            "pip install 'nurture-rl[ray]'"
        ) from error
    if not ray.is_initialized():
        if "address" not in init:
            for name, value in _LOCAL.items():
                os.environ.setdefault(name, value)
            init = {"include_dashboard": False} | init
        try:
            _reached(str(init.get("address", "")))
            ray.init(**init)
        except OSError as error:
            raise HydraException(
                f"hydra.launcher.init: expected a Ray cluster, got: {error}"
            ) from error
    return ray


def _reached(address: str) -> None:
    """Whether somebody listens at `HOST:PORT`: Ray itself tries for many minutes.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in address:
        try:
            socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
        except OSError as error:
            raise OSError(f"nobody who listens at {address} ({error})") from error


def _run(
    context: Any,
    function: Any,
    config: DictConfig,
    overrides: list[str],
    number: int,
    state: Any,
    folder: str,
) -> JobReturn:
    """One run, in a worker of Ray.

    Args:
        folder: from which the sweep was started; relative paths mean it, on whatever machine.
    """
    setup_globals()
    Singleton.set_state(state)
    if Path(folder).is_dir():
        os.chdir(folder)
    own = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(own):
        own.hydra.job.id, own.hydra.job.num = f"ray_{number}", number
    result = run_job(
        hydra_context=context,
        task_function=function,
        config=own,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    # The configuration stays here: with it Ray would copy the classes of its settings over those of
    # the caller.
    result.cfg = result.hydra_cfg = None
    return result
