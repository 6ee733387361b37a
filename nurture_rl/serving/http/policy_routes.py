"""Policies over HTTP: what is loaded, and who decides from now on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler

from nurture_rl.serving import roles as changes
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http import policy_wire
from nurture_rl.serving.http.api_keys import ApiKeys
from nurture_rl.serving.http.http_answers import Body, json_answer
from nurture_rl.serving.http.traffic import Bodies, Lane
from nurture_rl.serving.layers import NO_STAGE, stages_of
from nurture_rl.serving.policies.active_policies import ActivePolicies
from nurture_rl.serving.roles import Change, RoleError

_MOST = 16  # requests at once; they are served one after the other
_SHOWN = 1_000  # latest changes of the log

_encode = msgspec.json.Encoder().encode
_load_in = msgspec.json.Decoder(policy_wire.LoadIn, strict=True)
_role_in = msgspec.json.Decoder(policy_wire.RoleIn, strict=True)
_canary_in = msgspec.json.Decoder(policy_wire.CanaryIn, strict=True)
_end_in = msgspec.json.Decoder(policy_wire.EndExperimentIn, strict=True)
_switch_in = msgspec.json.Decoder(policy_wire.SwitchIn, strict=True)

Asking = Request[Any, Any, Any]
Work = Callable[[bytes], Body]  # body of the request in, answer out


class _Desk:
    """Takes changes of policies one after the other, on a thread beside those that decide."""

    def __init__(self, service: Service, bodies: Bodies, keys: ApiKeys | None) -> None:
        self._journeys = service.journeys
        self._shadowing, self._bodies, self._keys = service.shadowing, bodies, keys
        self._lane = Lane("policies", 1, _MOST)
        self._loading = Lane("bundles", 1, _MOST)  # a pause waits for no bundle

    async def answered(self, request: Asking, work: Work, loads: bool = False) -> Body:
        lane = self._loading if loads else self._lane
        async with self._bodies.read(request.stream()) as body:
            return await lane.run(_once(work, body))

    def shown(self) -> Body:
        policies = {one.name: one.policies for one in self._journeys}
        found = policy_wire.policies_out(policies, self._shadowing.missed)
        return json_answer(_encode(found))

    def of(self, policy_id: str) -> ActivePolicies:
        """The policies of the journey that has loaded one; of the first where none has."""
        if not any(policy_id in one.policies.bundles for one in self._journeys):
            self._journeys.follow()  # another server may have loaded it
        has = (one.policies for one in self._journeys if policy_id in one.policies.bundles)
        return next(has, self._journeys.first.policies)

    def of_journey(self, name: str | None) -> ActivePolicies:
        """The policies of a journey; of the first where none is named."""
        named = self._journeys.first if name is None else self._journeys.named(name)
        return named.policies

    def switched(self, asked: policy_wire.SwitchIn, who: str) -> None:
        """Set the switch of a journey, of all of them, or of one stage of a journey."""
        named = [self._journeys.named(asked.journey)] if asked.journey else list(self._journeys)
        if asked.stage is not None and len(named) > 1:
            raise RoleError("expected the journey that the stage belongs to; give `journey`")
        for one in named:
            change, action = changes.switched(asked.to), f"switch to {asked.to}"
            if asked.stage is not None:
                known = (*stages_of(one.bundle), NO_STAGE) if stages_of(one.bundle) else ()
                change = changes.switched_in(asked.stage, asked.to, known)
                action += f" in stage {asked.stage}"
            one.policies.change(action, None, change, who, asked.why)

    def told(self) -> Body:
        told = [(change, one.name) for one in self._journeys for change in one.policies.changes]
        told.sort(key=lambda row: row[0].at_us)
        rows = [policy_wire.change_out(*row) for row in told[-_SHOWN:]]
        return json_answer(_encode(policy_wire.PolicyLogOut(rows)))

    def who(self, request: Asking) -> str:
        shown = request.headers.get("authorization")
        return "no key" if self._keys is None else self._keys.name(shown)

    def role(self, path: str, make: Callable[[str, bytes], tuple[Change, str]]) -> HTTPRouteHandler:
        """The route by which a policy gets or loses a role."""

        @post(f"/v1/policies/{{policy_id:str}}/{path}", status_code=200, name=f"policy {path}")
        async def handler(request: Asking) -> Body:
            policy_id = str(request.path_params["policy_id"])

            def work(body: bytes) -> Body:
                change, why = make(policy_id, body)
                self.of(policy_id).change(path, policy_id, change, self.who(request), why)
                return self.shown()

            return await self.answered(request, work)

        return handler


def policy_routes(service: Service, bodies: Bodies, keys: ApiKeys | None) -> list[HTTPRouteHandler]:
    """The routes under `/v1/policies`, `/v1/switch` and `/v1/experiment`.

    Args:
        service: whose policies they are.
        bodies: reads the bodies of requests.
        keys: name who asks.
    """
    desk = _Desk(service, bodies, keys)

    @get("/v1/policies")
    async def listed(request: Asking) -> Body:
        return await desk.answered(request, lambda _: desk.shown())

    @get("/v1/policies/log")
    async def log(request: Asking) -> Body:
        return await desk.answered(request, lambda _: desk.told())

    @post("/v1/policies", status_code=200)
    async def load(request: Asking) -> Body:
        def work(body: bytes) -> Body:
            asked = _load_in.decode(body)
            loading = desk.of_journey(asked.journey)
            loading.load(asked.folder, desk.who(request), asked.why)
            return desk.shown()

        return await desk.answered(request, work, loads=True)

    @post("/v1/switch", status_code=200)
    async def switch(request: Asking) -> Body:
        def work(body: bytes) -> Body:
            desk.switched(_switch_in.decode(body), desk.who(request))
            return desk.shown()

        return await desk.answered(request, work)

    @post("/v1/experiment/end", status_code=200)
    async def end(request: Asking) -> Body:
        def work(body: bytes) -> Body:
            asked = _end_in.decode(body)
            of, who = desk.of_journey(asked.journey), desk.who(request)
            of.change("end experiment", None, changes.ended(), who, asked.why)
            return desk.shown()

        return await desk.answered(request, work)

    plain = {"shadow": changes.shadow, "promote": changes.promoted, "rollback": changes.rolled_back}
    roles = [desk.role(path, _plain(of)) for path, of in plain.items()]
    return [listed, log, load, switch, end, desk.role("canary", _canary), *roles]


def _canary(policy_id: str, body: bytes) -> tuple[Change, str]:
    asked = _canary_in.decode(body)
    return changes.canary(policy_id, asked.share), asked.why


def _plain(of: Callable[[str], Change]) -> Callable[[str, bytes], tuple[Change, str]]:
    return lambda policy_id, body: (of(policy_id), _role_in.decode(body).why)


def _once(work: Work, body: bytes) -> Iterator[Body]:
    yield work(body)
