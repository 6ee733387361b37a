"""The providers that mail can go by, each made of the settings of the verb `deliver`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from nurture_rl.delivery.deliver_options import DeliverOptions, secret_of
from nurture_rl.delivery.providers.braze import Braze
from nurture_rl.delivery.providers.cloudevents_http import CloudEventsHttp
from nurture_rl.delivery.providers.dittofeed import Dittofeed
from nurture_rl.delivery.providers.http_line import HttpLine, http_server
from nurture_rl.delivery.providers.http_sender import HttpSender
from nurture_rl.delivery.providers.listmonk import Listmonk
from nurture_rl.delivery.providers.mautic import Mautic
from nurture_rl.delivery.providers.provider_protocol import Provider
from nurture_rl.delivery.providers.template_ids import read_template_ids
from nurture_rl.errors import ConfigError

_Ids = Mapping[str, str]
_MADE: Mapping[str, Callable[[DeliverOptions, _Ids], Provider]] = {
    "listmonk": lambda options, ids: Listmonk(
        ids, options.listmonk_subscribers, options.from_address
    ),
    "mautic": lambda options, ids: Mautic(ids),
    "dittofeed": lambda options, ids: Dittofeed(ids),
    "braze": lambda options, ids: Braze(ids),
    "cloudevents_http": lambda options, ids: CloudEventsHttp(options.cloudevents_mode),
}
_NAME_AND_PASSWORD = ("listmonk", "mautic")  # by HTTP Basic, NAME:PASSWORD
_BASIC = ("dittofeed",)  # a write key that is shown as Basic wants it


def http_sender_of(options: DeliverOptions) -> HttpSender:
    """The sender that posts to a provider.

    Raises:
        ConfigError: its address, its key or the ids of its templates cannot be used.
    """
    if options.sender_url is None:
        raise ConfigError(f"expected sender_url with sender={options.sender}")
    server = http_server(options.sender_url, options.sender_ca_file, options.sender_timeout)
    if server.query and options.sender != "cloudevents_http":
        raise ConfigError(f"sender_url: expected no ? in it with sender={options.sender}")
    provider = _MADE[options.sender](options, read_template_ids(options.template_ids))
    credentials = credentials_of(options.sender, options.sender_key_file)
    return HttpSender(provider, HttpLine(server), credentials)


def credentials_of(sender: str, key_file: str | None) -> dict[str, str]:
    """The header that says who asks.

    Raises:
        ConfigError: the key is missing, or cannot be one of this provider's.
    """
    if key_file is None:
        if sender != "cloudevents_http":
            raise ConfigError(f"expected sender_key_file with sender={sender}")
        return {}
    key = secret_of(key_file, "sender_key_file")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("sender_key_file: expected printable ASCII letters (they are not shown)")
    if sender in _NAME_AND_PASSWORD:
        if ":" not in key:
            raise ConfigError(f"sender_key_file: expected NAME:PASSWORD for sender={sender}")
        return {"authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}
    kind = "Basic" if sender in _BASIC else "Bearer"
    return {"authorization": f"{kind} {key.removeprefix(kind).strip()}"}
