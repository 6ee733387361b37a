"""Slopes of hazards that fit contacts the networks have not seen, and rates that fit all."""

from __future__ import annotations

import torch
from torch import Tensor

_STEPS = 20  # at most
_BLOCK = 8192  # rows whose scores stay in cache
_SETTLED = 1e-10  # log-odds: a last step that moves no single-precision number
_SLOPE_PRECISION = 16.0  # slope 1 +- 0.25
_SHIFT_PRECISION = 4.0  # shift 0 +- 0.5 at the mean logit


def recalibrate(
    logits: Tensor,
    happened: Tensor,
    used: Tensor,
    offset: Tensor | None = None,
    exposure: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Slope and shift of each head's logits that fit unseen contacts best; each [H].

    Penalised maximum likelihood (Platt scaling) of sigmoid(slope * logit + shift + offset) by
    Fisher-scoring steps; the Gaussian priors, slope 1 +- 0.25 and shift 0 +- 0.5 at the mean
    logit, keep heads with few events as they are.

    Args:
        logits: of unseen contacts, [n, H].
        happened: 0 or 1, [n, H].
        used: weight of the row for the head, 0 where it does not count, [n, H].
        offset: what is added unscaled, [n, H]; None: 0.
        exposure: chance that an event is known, [n, H]; None: 1.
    """
    y, w = happened.double(), used.double()
    known = torch.ones_like(y) if exposure is None else exposure.double()
    added = torch.zeros_like(y) if offset is None else offset.double()
    # About its mean logit a head's slope and base rate are nearly independent.
    middle = (w * logits).sum(0) / w.sum(0).clamp_min(1e-12)
    x = logits.double() - middle
    slope = torch.ones(x.shape[1], dtype=torch.float64, device=x.device)
    shift = middle.clone()
    for _ in range(_STEPS):
        off, curve = _scores(slope * x + shift + added, y, w, known)
        gradient = torch.stack(
            [
                (off * x).sum(0) + _SLOPE_PRECISION * (slope - 1.0),
                off.sum(0) + _SHIFT_PRECISION * (shift - middle),
            ]
        )
        a = (curve * x * x).sum(0) + _SLOPE_PRECISION
        b, c = (curve * x).sum(0), curve.sum(0) + _SHIFT_PRECISION
        determinant = a * c - b * b
        flatter = (c * gradient[0] - b * gradient[1]) / determinant
        lower = (a * gradient[1] - b * gradient[0]) / determinant
        slope, shift = slope - flatter, shift - lower
        if max(float(flatter.abs().max()), float(lower.abs().max())) < _SETTLED:
            break
    return slope.float(), (shift - slope * middle).float()


def match_rates(
    logits: Tensor, happened: Tensor, used: Tensor, offset: Tensor, exposure: Tensor
) -> Tensor:
    """Shift of each head's logits at which hazards add up to the events, [H].

    Unlike a slope, a rate can be fitted to contacts that the networks have seen; all of those give
    a better estimate than the few tuning contacts. The prior is 0 +- 0.5.

    Args:
        logits: with their slopes, [n, H].
        happened, used, offset, exposure: as for `recalibrate`.
    """
    parts = (logits.double() + offset, happened.double(), used.double(), exposure.double())
    blocks = list(zip(*(torch.split(part, _BLOCK) for part in parts), strict=True))
    shift = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device)
    for _ in range(_STEPS):
        slope, curve = _SHIFT_PRECISION * shift, torch.full_like(shift, _SHIFT_PRECISION)
        for z, y, w, known in blocks:
            off, bend = _scores(z + shift, y, w, known)
            slope += off.sum(0)
            curve += bend.sum(0)
        step = (slope / curve).clamp(-1.0, 1.0)
        shift = shift - step
        if float(step.abs().max()) < _SETTLED:
            break
    return shift.float()


def _scores(z: Tensor, y: Tensor, w: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Derivative of -log(p F) and -log(1 - p F) by the logit z, and its expected square, [n, H]."""
    p = torch.sigmoid(z)
    seen = p * known
    odds = torch.where(known == 1.0, 1.0, (1.0 - p) / (1.0 - seen))
    off = w * torch.where(y > 0, p - 1.0, seen * odds)
    return off, w * seen * (1.0 - p) * odds
