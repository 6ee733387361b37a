"""Settings that Hydra can compose, made from the frozen records that the work takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass, make_dataclass
from functools import cache, partial
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import MISSING as NEEDED


@cache
def composable(cls: type[Any], without: tuple[str, ...] = ()) -> type[Any]:
    """A record's twin that overrides may be written into: same keys, kinds and defaults.

    Ranges are checked where the record itself is made from it.

    Args:
        cls: a frozen data class of plain values, tuples and records like itself.
        without: fields that no user sets.
    """
    kinds = get_type_hints(cls)
    specs: list[tuple[str, Any, Any]] = []
    for one in fields(cls):
        if one.name in without:
            continue
        kind = kinds[one.name]
        if is_dataclass(kind):
            inner = composable(kind)  # type: ignore[arg-type]
            specs.append((one.name, inner, field(default_factory=inner)))
        else:
            specs.append((one.name, _listed(kind), field(default_factory=partial(_default, one))))
    told = (cls, without) if without else (cls,)
    own = {"made_from": cls, "__reduce__": lambda self: (_again, (told, vars(self)))}
    return make_dataclass(cls.__name__, specs, namespace=own)


def _again(told: tuple[Any, ...], values: Mapping[str, Any]) -> Any:
    """A twin in another process, where its class must be made first."""
    return composable(*told)(**values)


def _listed(kind: Any) -> Any:
    """Tuples of one kind as lists, which YAML and OmegaConf know."""
    return list[get_args(kind)[0]] if get_origin(kind) is tuple else kind  # type: ignore[misc]


def _default(one: Field[Any]) -> Any:
    value = one.default_factory() if one.default_factory is not MISSING else one.default
    if value is MISSING:
        return NEEDED
    return list(value) if isinstance(value, tuple) else value
