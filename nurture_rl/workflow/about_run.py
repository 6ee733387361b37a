"""What is needed to make a run again, as every page tells it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

if TYPE_CHECKING:
    from nurture_rl.workflow.run_config import RunConfig


def about_run(run: RunConfig, plain: Mapping[str, Any], packages: Sequence[str]) -> dict[str, Any]:
    """Seeds, time, versions, the command as it was typed, and the configuration as YAML.

    Args:
        run: the checked settings.
        plain: the same as plain data.
        packages: whose versions are told.
    """
    return {
        "seed": run.seed,
        "seeds": asdict(run.seeds),
        "started_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "versions": {name: version(name) for name in packages},
        "command": shlex.join([*sys.argv[0].split(), *sys.argv[1:]]),
        "config": OmegaConf.to_yaml(OmegaConf.create(dict(plain))),
    }
