"""A server that takes SendGrid's webhooks, and SendGrid before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from litestar.testing import TestClient

from nurture_envs.clock import HOUR_US
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.senders.known_senders import senders_of
from tests.unit.serving.contacts import MIDNIGHT, Clock, service
from tests.unit.serving.signed_webhooks import PATH, body_of, key_folder, signed, signing_key

MORNING = MIDNIGHT + 7 * HOUR_US
NOW = MORNING // 1_000_000


class Posting:
    """A server that sends whenever it may, and SendGrid before it."""

    def __init__(self, bundle: Bundle, folder: Path, **options: Any) -> None:
        context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
        sends = [name for name in bundle.catalog.ids if name.startswith("send:")]
        sending = replace(bundle, policy=build_policy(f"always:{sends[-1]}", context))
        self.key: EllipticCurvePrivateKey = signing_key()
        self.clock = Clock(MORNING)
        self.senders = senders_of(key_folder(folder / "keys", self.key))
        self.options = options
        self.serve(service(sending, folder / "store.db", self.clock))

    def serve(self, service: Service) -> None:
        """Answer by a service from now on."""
        self.service = service
        self.app = create_app(service, senders=self.senders, **self.options)
        self.client: TestClient[Any] = TestClient(self.app, raise_server_exceptions=False)

    def post(self, body: bytes, **headers: str) -> Any:
        """A signed body; the whole answer."""
        given = {**signed(self.key, body, self.clock.now_us // 1_000_000), **headers}
        return self.client.post(PATH, content=body, headers=given)

    def rows(self, *rows: Any) -> Any:
        """What is answered to rows that can all be looked at."""
        answer = self.post(body_of(rows))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def decide(self, name: str = "ada", request_id: str | None = None) -> Any:
        body = {"contacts": [{"contact_id": name, "request_id": request_id}]}
        (found,) = self.client.post("/v1/decisions", json=body).json()["decisions"]
        return found

    def events(self) -> list[Any]:
        """The rows of the events, in their order."""
        return [row for block in self.service.store.scan("events") for row in block]

    def quarantined(self) -> list[tuple[str, str | None, str, str]]:
        """Door, contact, reason and raw row of what was refused or mended."""
        rows = [row for block in self.service.store.scan("quarantine") for row in block]
        return [(row[1], row[2], row[3], row[4]) for row in rows]
