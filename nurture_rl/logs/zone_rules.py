"""Whether zones may be inferred where a log has none: the file `zones.yaml` beside its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import available_timezones

from nurture_rl.logs.rule_files import rule_fields
from nurture_rl.logs.zone_inference import WORLD_ZONES

ZONES_FILE = "zones.yaml"
_LEAST = 0.9  # a clock that is wrong more often would break quiet hours more often than that


@dataclass(frozen=True, slots=True)
class ZoneRules:
    """How zones are inferred."""

    least: float  # probability below which nothing is inferred, in (0.5, 1]
    country: str  # attribute of contacts that holds the code of a country, such as DE
    candidates: tuple[str, ...]  # zones that are possible beside those that contacts state


def load_zone_rules(folder: Path) -> ZoneRules | None:
    """The rules of a log's folder; None: it has none, and nothing is inferred.

    Raises:
        LogError: the file cannot be used; all is named at once.
    """
    path = folder / ZONES_FILE
    if not path.is_file():
        return None
    with rule_fields(path, "zones") as f:
        rules = ZoneRules(
            least=f.number("least", _LEAST, low=0.5),
            country=f.text("country", "country"),
            candidates=tuple(str(one) for one in f.items("candidates", list(WORLD_ZONES))),
        )
        strange = sorted(set(rules.candidates) - available_timezones())
        if strange:
            f.problem("candidates", f"expected IANA names of zones, got {', '.join(strange)}")
        if rules.least > 1.0:
            f.problem("least", f"expected a probability in [0.5, 1], got {rules.least:g}")
    return rules
