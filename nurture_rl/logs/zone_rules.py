"""Whether zones may be inferred where a log has none: the file `zones.yaml` beside its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import available_timezones

import yaml

from nurture_envs.fields import Fields
from nurture_rl.errors import LogError
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
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LogError(f"{path}: expected rules of zones (YAML), got: {error}") from error
    problems: list[str] = []
    f = Fields({"zones": {} if data is None else data}, "", problems).mapping("zones")
    rules = ZoneRules(
        least=f.number("least", _LEAST, low=0.5),
        country=f.text("country", "country"),
        candidates=tuple(str(one) for one in f.items("candidates", list(WORLD_ZONES))),
    )
    f.finish()
    strange = sorted(set(rules.candidates) - available_timezones())
    if strange:
        problems.append(f"zones.candidates: expected IANA names of zones, got {', '.join(strange)}")
    if rules.least > 1.0:
        problems.append(f"zones.least: expected a probability in [0.5, 1], got {rules.least:g}")
    if problems:
        told = "\n  ".join(one.removeprefix("zones.") for one in problems)
        raise LogError(f"{path}: the rules have problems; mend them and run again:\n  {told}")
    return rules
