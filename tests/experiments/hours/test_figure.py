"""The map of the week: relative to its slots, drawn for surfaces of any shape, flat ones too."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from experiments.hours.figure import SHAPE, HourSurfaces, hour_figure

SENT = np.zeros(SHAPE, bool)
SENT[:5, [9, 15]] = True


def surfaces(learned: np.ndarray, signal: str = "opened") -> HourSurfaces:
    hour = np.arange(24.0)
    truth = 0.2 + 0.1 * np.exp(np.cos(2.0 * np.pi * (hour - 9.0) / 24.0) - 1.0)
    return HourSurfaces(signal, np.tile(truth, (7, 1)), learned, SENT)


def test_effects_are_told_over_the_mean_of_the_slots_sent() -> None:
    learned = np.full(SHAPE, 0.9)
    learned[:, 9], learned[:, 15] = 0.3, 0.1  # mean over the slots 0.2
    relative = surfaces(learned).relative()[1]
    assert relative[2, 9] == pytest.approx(0.5)
    assert relative[2, 15] == pytest.approx(-0.5)
    assert relative[2, 0] == pytest.approx(3.5)


def test_the_correlation_in_slots_does_not_see_the_night() -> None:
    truth = surfaces(np.zeros(SHAPE)).truth
    wrong_at_night = np.where(SENT, truth, 1.0 - truth)
    found = surfaces(wrong_at_night)
    assert found.correlation(slots_only=True) == pytest.approx(1.0)
    assert found.correlation(slots_only=False) < 0.0
    assert np.isnan(surfaces(np.full(SHAPE, 0.2)).correlation(slots_only=False))


@pytest.mark.parametrize("lines", [1, 2])
def test_the_figure_is_a_picture_that_repeats(tmp_path: Path, lines: int) -> None:
    noise = np.random.default_rng(0).normal(0.2, 0.01, SHAPE)
    drawn = [surfaces(noise), surfaces(np.full(SHAPE, 0.2), "clicked_data")][:lines]
    path = tmp_path / "hours.svg"
    path.write_bytes(hour_figure(drawn))
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert path.stat().st_size > 10_000
    assert hour_figure(drawn) == path.read_bytes()
