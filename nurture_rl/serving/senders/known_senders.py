"""The senders whose webhooks a server can take, and those that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from nurture_rl.errors import ConfigError
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.serving.senders.cloudevents_in import CloudEventsIn
from nurture_rl.serving.senders.customerio import CustomerIo
from nurture_rl.serving.senders.hubspot import HubSpot
from nurture_rl.serving.senders.mailgun import Mailgun
from nurture_rl.serving.senders.mautic_webhook import MauticWebhook
from nurture_rl.serving.senders.postmark import Postmark
from nurture_rl.serving.senders.segment import Segment
from nurture_rl.serving.senders.sender_adapter import SenderAdapter
from nurture_rl.serving.senders.sendgrid import SendGrid
from nurture_rl.serving.senders.ses_over_sns import SesOverSns


class _Kind(Protocol):
    format: ReportFormat

    def of(self, key_file: Path) -> SenderAdapter: ...


_KINDS: tuple[_Kind, ...] = (
    *(CloudEventsIn, CustomerIo, HubSpot, Mailgun, MauticWebhook, Postmark, Segment, SendGrid),
    SesOverSns,
)
# By name; each makes its adapter of the file NAME.key.
_KNOWN: Mapping[str, _Kind] = {kind.format.name: kind for kind in _KINDS}
KNOWN_SENDERS = frozenset(_KNOWN)
# Those whose message id names one mail: two `sent` events of a contact with it are one mail.
NAMING_MAILS = frozenset(name for name, kind in _KNOWN.items() if kind.format.names_mails)


def senders_of(folder: Path) -> dict[str, SenderAdapter]:
    """The adapters of a folder of keys, by the senders' names.

    Raises:
        ConfigError: there is no such folder, a file of it is no sender's, or holds no key.
    """
    names = ", ".join(f"{name}.key" for name in sorted(KNOWN_SENDERS))
    if not folder.is_dir():
        raise ConfigError(f"expected a folder with {names}, got {folder}; give webhook_keys=FOLDER")
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    strange = [path.name for path in files if path.suffix != ".key" or path.stem not in _KNOWN]
    if strange or not files:
        got = ", ".join(strange) or "no file"
        raise ConfigError(f"expected {names} in {folder}, got {got}; take other files out of it")
    return {path.stem: _KNOWN[path.stem].of(path) for path in files}
