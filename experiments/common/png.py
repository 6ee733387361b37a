"""Figures of recorded experiments as PNG, in the house style."""

from __future__ import annotations

import io
from collections.abc import Callable

from matplotlib.figure import Figure

from nurture_rl.report import drawing

_DPI = 96


def png(name: str, height: float, paint: Callable[[Figure], None]) -> bytes:
    """Paint a figure of `height` inches and give it as PNG, without the date it was made on."""
    out = io.BytesIO()

    def painted(figure: Figure) -> None:
        paint(figure)
        # Saved here because the house style holds only while painting.
        figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})

    drawing.draw(name, height, painted)
    return out.getvalue()
