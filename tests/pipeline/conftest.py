"""What several files of tests share; none of them writes into it."""

from __future__ import annotations

import os

import pytest

from nurture_rl.workflow.pipeline import Pipeline
from tests.pipeline.two_mails import two_mails_loop


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The whole loop on a log of two mails, which is healthy.

    Workers share its folder: where two of them want a stage at a time, one makes it.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    made = two_mails_loop(root / "two mails")
    assert made.released.is_dir()
    return made
