"""Policies over HTTP: what is loaded, and who decides from now on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler

from nurture_rl.serving import policy_wire
from nurture_rl.serving import roles as changes
from nurture_rl.serving.api_keys import ApiKeys
from nurture_rl.serving.http_answers import Body, json_answer
from nurture_rl.serving.roles import Change
from nurture_rl.serving.service import Service
from nurture_rl.serving.traffic import Bodies, Lane

_MOST = 16  # requests at once; they are served one after the other
_SHOWN = 1_000  # latest changes of the log

_encode = msgspec.json.Encoder().encode
_load_in = msgspec.json.Decoder(policy_wire.LoadIn, strict=True)
_role_in = msgspec.json.Decoder(policy_wire.RoleIn, strict=True)
_canary_in = msgspec.json.Decoder(policy_wire.CanaryIn, strict=True)
_switch_in = msgspec.json.Decoder(policy_wire.SwitchIn, strict=True)

Work = Callable[[bytes], Body]  # body of the request in, answer out


def policy_routes(service: Service, bodies: Bodies, keys: ApiKeys | None) -> list[HTTPRouteHandler]:
    """The routes under `/v1/policies`, and `/v1/switch`.

    Args:
        service: whose policies they are.
        bodies: reads the bodies of requests.
        keys: name who asks.
    """
    lane = Lane("policies", 1, _MOST)
    policies = service.policies

    async def answered(request: Request[Any, Any, Any], work: Work) -> Body:
        async with bodies.read(request.stream()) as body:
            return await lane.run(_once(work, body))

    def shown() -> Body:
        return json_answer(_encode(policy_wire.policies_out(policies, service.shadowing.missed)))

    def told() -> Body:
        rows = [policy_wire.change_out(one) for one in policies.changes[-_SHOWN:]]
        return json_answer(_encode(policy_wire.PolicyLogOut(rows)))

    def who(request: Request[Any, Any, Any]) -> str:
        return "no key" if keys is None else keys.name(request.headers.get("authorization"))

    def role(path: str, make: Callable[[str, bytes], tuple[Change, str]]) -> HTTPRouteHandler:
        @post(f"/v1/policies/{{policy_id:str}}/{path}", status_code=200, name=f"policy {path}")
        async def handler(request: Request[Any, Any, Any]) -> Body:
            policy_id = str(request.path_params["policy_id"])

            def work(body: bytes) -> Body:
                change, why = make(policy_id, body)
                policies.change(path, policy_id, change, who(request), why)
                return shown()

            return await answered(request, work)

        return handler

    @get("/v1/policies")
    async def listed(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, lambda _: shown())

    @get("/v1/policies/log")
    async def log(request: Request[Any, Any, Any]) -> Body:
        return await answered(request, lambda _: told())

    @post("/v1/policies", status_code=200)
    async def load(request: Request[Any, Any, Any]) -> Body:
        def work(body: bytes) -> Body:
            asked = _load_in.decode(body)
            policies.load(asked.folder, who(request), asked.why)
            return shown()

        return await answered(request, work)

    @post("/v1/switch", status_code=200)
    async def switch(request: Request[Any, Any, Any]) -> Body:
        def work(body: bytes) -> Body:
            asked = _switch_in.decode(body)
            change = changes.switched(asked.to)
            policies.change(f"switch to {asked.to}", None, change, who(request), asked.why)
            return shown()

        return await answered(request, work)

    plain = {"shadow": changes.shadow, "promote": changes.promoted, "rollback": changes.rolled_back}
    roles = [role(path, _plain(of)) for path, of in plain.items()]
    return [listed, log, load, switch, role("canary", _canary), *roles]


def _canary(policy_id: str, body: bytes) -> tuple[Change, str]:
    asked = _canary_in.decode(body)
    return changes.canary(policy_id, asked.share), asked.why


def _plain(of: Callable[[str], Change]) -> Callable[[str, bytes], tuple[Change, str]]:
    return lambda policy_id, body: (of(policy_id), _role_in.decode(body).why)


def _once(work: Work, body: bytes) -> Iterator[Body]:
    yield work(body)
