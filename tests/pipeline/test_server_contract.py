"""Whatever a client sends, the server keeps the contract it publishes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from nurture_rl.serving.http.app import create_app
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import Clock, service

_FOLDER = Path(tempfile.mkdtemp(prefix="nurture-contract-"))
_APP = create_app(
    service(small_bundle(_FOLDER / "bundle"), _FOLDER / "store.db", Clock(), simulated=True)
)
_CONTRACT = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)

schema = schemathesis.openapi.from_asgi("/schema", _APP)


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_published_contract_holds(case: schemathesis.Case[Any]) -> None:
    checks: list[Any] = [CHECKS.get_one(name) for name in _CONTRACT]
    case.call_and_validate(checks=checks)
