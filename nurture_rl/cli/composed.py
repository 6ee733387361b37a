"""Verbs whose settings Hydra composes: `key=value`, config groups, sweeps and launchers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from nurture_rl.cli.configs import CONFIGS
from nurture_rl.cli.jobs import exit_code, job
from nurture_rl.cli.loading import load
from nurture_rl.cli.verbs import REFUSED, Verb
from nurture_rl.verb_result import VerbResult

_SWEEP = ("--multirun", "-m")


def run_composed(verb: Verb, words: Sequence[str], as_json: bool) -> int:
    """Compose the settings that are typed and do the verb with them; returns the exit code.

    Args:
        verb: what to do.
        words: overrides and options of Hydra, in any order.
        as_json: keep stdout for JSON.
    """
    from nurture_rl.workflow.settings_schema import register_schemas

    register_schemas()
    name, work = verb.name, verb.work

    def one(config: DictConfig) -> None:
        def made() -> VerbResult:
            result: VerbResult = load(work)(config)
            return result

        job(name, made)

    entry = hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)(one)
    # Hydra refuses `--multirun` between two settings, and reads its words from the process.
    sys.argv = [f"nurture {name}", *sorted(words, key=lambda word: word not in _SWEEP)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come out as they are: we say what to do
    try:
        return exit_code(entry, as_json)
    except (HydraException, OmegaConfBaseException) as error:
        from nurture_rl.cli.hints import explained

        print(f"{name}: {explained(name, words, error)}", file=sys.stderr)
        return REFUSED
    except OSError as error:  # the folder of runs is made before any job begins
        print(f"{name}: runs: {error}; give a folder that can be written", file=sys.stderr)
        return REFUSED
