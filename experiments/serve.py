"""Serve the bundle that the configured run released, over the contacts of its log."""

import shlex
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from nurture_rl.errors import GateRefusal, NurtureError
from nurture_rl.serving.main import main as serve
from nurture_rl.workflow.config import register_schema, settings
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.verbs import serve_line

register_schema()


@hydra.main(
    version_base="1.3",
    config_path=str(Path(__file__).resolve().parents[1] / "configs"),
    config_name="serve",
)
def main(config: DictConfig) -> None:
    """Entry point of Hydra."""
    try:
        pipeline = Pipeline(settings(config), print)
        bundle = pipeline.released / "bundle"
        if not bundle.is_dir():
            raise GateRefusal(f"nothing was released; see {pipeline.released / 'gate.json'}")
    except (NurtureError, OSError) as error:
        sys.exit(f"serve: {error}")
    sys.exit(serve(shlex.split(serve_line(pipeline, bundle))[1:]))


if __name__ == "__main__":
    main()
