"""What a provider is asked with: settings, keys and who may be named."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.delivery.delivering import deliver
from nurture_rl.delivery.providers.braze import require_one_user
from nurture_rl.errors import ConfigError, DeliveryError
from tests.pipeline.running_server import RunningServer
from tests.unit.delivery.now_sends import deliver_options
from tests.unit.delivery.provider_stand_ins import StandIn, settings, stand_in
from tests.unit.delivery.test_deliver_by_http import by, ready
from tests.unit.delivery.test_deliver_by_smtp import rows


@pytest.mark.parametrize(
    "body",
    [
        {"broadcast": True, "recipients": [{"external_user_id": "a"}]},
        {"broadcast": False, "recipients": []},
        {"broadcast": False, "recipients": [{"external_user_id": ""}]},
        {"broadcast": False, "recipients": [{"external_user_id": x} for x in "ab"]},
        {"broadcast": False, "recipients": [{"external_user_id": "a"}], "audience": {}},
        {"recipients": [{"external_user_id": "a"}]},
    ],
)
def test_braze_is_never_asked_to_mail_a_segment(body: dict[str, Any]) -> None:
    require_one_user({"broadcast": False, "recipients": [{"external_user_id": "a"}]})
    with pytest.raises(DeliveryError, match="might mail everybody"):
        require_one_user(body)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sender_url": None}, "expected sender_url"),
        ({"sender_url": "http://lists.example"}, "expected https://"),
        ({"sender_url": "https://me:pw@lists.example"}, "no password in it"),
        ({"sender_url": "lists.example"}, "expected https://HOST"),
        ({"sender_url": "https://lists.example?a=b"}, r"expected no \? in it"),
        ({"sender_key_file": None}, "expected sender_key_file"),
        ({"template_ids": ()}, "expected the provider's id for message welcome"),
        ({"template_ids": ("welcome",)}, r"expected \[MESSAGE=ID"),
        ({"template_ids": ("welcome=x",)}, "expected a whole number"),
        ({"brake_after": 0}, "brake_after: expected a number above 0"),
        ({"out": "x.jsonl"}, "out: expected none with sender=listmonk"),
    ],
)
@by("listmonk")
def test_settings_that_cannot_be_meant_stop_before_the_first_mail(
    folder: Path, server: RunningServer, provider: StandIn, changes: dict[str, Any], message: str
) -> None:
    _, options = ready(folder, server, provider, "ada", **changes)
    with pytest.raises(ConfigError, match=message):
        deliver(options)
    assert provider.asked == 0


@by("listmonk")
def test_a_key_that_others_can_read_is_refused(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    _, options = ready(folder, server, provider, "ada")
    (folder / "sender.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        deliver(options)


def test_the_key_goes_only_to_whom_is_trusted(folder: Path, server: RunningServer) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    made += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made += ["-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with stand_in("listmonk", tls) as provider:
        _, options = ready(folder, server, provider, "ada")
        with pytest.raises(DeliveryError, match=r"certificate verify failed.*nothing was sent"):
            deliver(options)
        assert {row["state"] for row in rows(folder)} == {"planned"}
        told = {**settings(folder, provider), "sender_ca_file": str(folder / "cert.pem")}
        assert deliver(deliver_options(folder, server, **told)).made["states"] == {"accepted": 1}


@by("listmonk")
def test_a_provider_that_is_away_leaves_everything_planned(
    folder: Path, server: RunningServer, provider: StandIn
) -> None:
    _, options = ready(folder, server, provider, "ada", sender_url="http://localhost:9")
    assert deliver(options).made["states"] == {"planned": 1}
