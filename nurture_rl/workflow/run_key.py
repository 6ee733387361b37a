"""A name for all that the result of a run depends on."""

from __future__ import annotations

import hashlib
import json

from omegaconf import DictConfig

from nurture_rl.workflow.config import settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.stages import code_hash


def run_key(config: DictConfig, verb: str) -> str:
    """Equal for runs whose results are: by settings, code, and what the log holds now.

    Args:
        config: composed by Hydra from `run_schema`.
        verb: what is done.

    Raises:
        NurtureError: bad settings, or no log.
    """
    checked = settings(config)
    raw = Pipeline(checked, lambda line: None).raw.name
    known = {"verb": verb, "settings": checked.plain, "code": code_hash(), "raw": raw}
    text = json.dumps(known, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
