"""Say what a log tells about target policies: a report, and an exit code for scripts."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from nurture_rl.errors import NurtureError
from nurture_rl.workflow.ope_config import register_ope_schema
from nurture_rl.workflow.ope_verb import REFUSED, run_ope

register_ope_schema()


@hydra.main(
    version_base="1.3",
    config_path=str(Path(__file__).resolve().parents[1] / "configs"),
    config_name="ope",
)
def main(config: DictConfig) -> None:
    """Entry point of Hydra; exits with a code of `EXIT_CODES`, or `REFUSED`."""
    try:
        code = run_ope(config).exit_code
    except (NurtureError, OSError) as error:
        print(f"ope: {error}", file=sys.stderr)
        code = REFUSED
    sys.exit(code)


if __name__ == "__main__":
    main()
