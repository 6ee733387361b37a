"""What the reference worlds share besides their mechanisms: their journey, compiled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from nurture_envs.errors import WorldError
from nurture_envs.features import FeatureSpec, Scale
from nurture_envs.journey import Journey
from nurture_envs.worlds.effects import MailParams
from nurture_envs.worlds.mailings import MailActions
from nurture_envs.worlds.reputation import (
    MailTotals,
    ReputationParams,
    mail_sums,
    next_inbox_share,
)


class HasMail(Protocol):
    """Parameters of a world that sends mail."""

    @property
    def mail(self) -> MailParams:
        """How people and machines treat it."""
        ...

    @property
    def reputation(self) -> ReputationParams:
        """What it does to its sender."""
        ...


class MailWorld:
    """Base of the reference worlds: records of a journey, planted parameters and a device."""

    shipped: ClassVar[str]  # the journey it was made for
    needed: ClassVar[frozenset[str]]  # signals without which the world cannot play
    topics: ClassVar[tuple[str, ...]]
    scales: ClassVar[tuple[Scale, ...]]  # of the attributes that are numbers

    journey: Journey
    params: HasMail
    device: torch.device | str

    def __post_init__(self) -> None:
        missing = self.needed - set(self.journey.channels)
        if missing:
            raise WorldError(
                f"the {self.shipped.replace('_', '-')} world needs a journey with the signals of "
                f"{self.shipped!r}, {self.journey.name!r} lacks {sorted(missing)}; extend that "
                "journey"
            )

    @cached_property
    def _spec(self) -> FeatureSpec:
        return FeatureSpec.of(self.journey)

    @cached_property
    def _channels(self) -> tuple[str, ...]:
        return self.journey.channels

    @cached_property
    def _mail(self) -> MailActions:
        return MailActions.of(self.journey, self.topics, self.params.mail, self.device)

    @cached_property
    def _sums(self) -> Tensor:
        return mail_sums(self.journey, self.device)

    def next_inbox_share(self, share: Tensor, totals: Tensor) -> Tensor:
        """The sender's inbox share after a bin that brought these channel sums, [c]."""
        return next_inbox_share(share, MailTotals.of(totals, self._sums), self.params.reputation)

    def _attributes(self, columns: Mapping[str, Tensor]) -> Tensor:
        """Attribute columns by name, encoded as the feature spec orders them, [columns, n] f32."""
        rows = [columns[name].to(torch.float32) for name in self._spec.attribute_columns]
        return torch.stack(rows)
