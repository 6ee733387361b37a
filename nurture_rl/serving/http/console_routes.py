"""The console: its pages, and the figures that they show, read beside the work of the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from nurture_envs.clock import DAY_US
from nurture_rl.errors import ConfigError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.arm_records import StartedPlan
from nurture_rl.serving.contacts.mail_counts import families_of
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.api_keys import SCOPES, ApiKeys
from nurture_rl.serving.http.console_wire import ConsoleOut, HealthFigures, HealthOut
from nurture_rl.serving.http.http_answers import Body, json_answer, problem
from nurture_rl.serving.http.traffic import Lane
from nurture_rl.serving.http.wire import RequestError, iso, require_id
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.watching.decision_days import decision_days
from nurture_rl.serving.watching.lift_reports import lift_look
from nurture_rl.serving.watching.mail_days import mail_days
from nurture_rl.serving.watching.monitoring import MonitorOptions, monitored
from nurture_rl.serving.watching.reach import reach
from nurture_rl.serving.watching.timeline import timeline

_DAYS = (7, 28, 90)  # spans that can be asked for
_MOST = 32  # requests at once; they are served one after the other
_LEAST_KEPT, _KEPT_SHARE = 15.0, 20.0  # seconds; of the time that working out took
_MOST_WATCHED = 200_000  # decisions beyond which drift is left to the verb `monitor`
_FILES = {
    "": ("index.html", "text/html"),
    "console.css": ("console.css", "text/css"),
    "console.js": ("console.js", "text/javascript"),
    "charts.js": ("charts.js", "text/javascript"),
}
# Nothing from elsewhere, no script but the console's own, and no page of others around it.
_GUARDED = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

_encode = msgspec.json.Encoder().encode

Asking = Request[Any, Any, Any]


@dataclass(slots=True)
class _Kept:
    """An answer, and until when it is given again."""

    content: bytes
    until: float  # of `time.monotonic`


class _Looks:
    """Works figures out, one after the other, and keeps each for a while.

    The longer something takes, the longer it is kept: looking takes a twentieth of one processor
    at most, however many people look.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._lane = Lane("console", 1, _MOST)
        self._kept: dict[tuple[str, ...], _Kept] = {}

    async def kept(self, name: tuple[str, ...], work: Callable[[StoreReader], object]) -> Body:
        """The figures of a name as JSON: those that are kept, or new ones."""
        return await self._lane.run(self._steps(name, work))

    async def fresh(self, work: Callable[[StoreReader], Body]) -> Body:
        """What is worked out at once."""

        def steps() -> Iterator[Body]:
            with closing(self.service.store.own_reader()) as store:
                yield work(store)

        return await self._lane.run(steps())

    def _steps(
        self, name: tuple[str, ...], work: Callable[[StoreReader], object]
    ) -> Iterator[Body]:
        found = self._kept.get(name)
        if found is None or time.monotonic() >= found.until:
            began = time.monotonic()
            with closing(self.service.store.own_reader()) as store:
                content = _encode(work(store))
            now = time.monotonic()
            found = _Kept(content, now + max(_LEAST_KEPT, _KEPT_SHARE * (now - began)))
            self._kept[name] = found
        yield json_answer(found.content)


def console_routes(
    service: Service, keys: ApiKeys | None, lift_reports: Path | None = None
) -> list[HTTPRouteHandler]:
    """The console's pages under `/console`, and its figures under `/v1/console`.

    Args:
        service: whose store is looked at.
        keys: say what somebody may do.
        lift_reports: folder of reports of the verb `lift`; None: there is none.
    """
    looks = _Looks(service)

    @get("/v1/console")
    async def about(request: Asking) -> Body:
        shown = request.headers.get("authorization")
        opened = SCOPES if keys is None else sorted(keys.opened(shown) or ())
        names = [one.name for one in service.journeys]
        now = iso(service.settings.clock())
        return json_answer(_encode(ConsoleOut(list(opened), names, now, keys is not None)))

    @get("/v1/console/decisions")
    async def decisions(request: Asking) -> Body:
        days, bundle = _days(request), _bundle(service, request)
        journey = bundle.journey
        return await looks.kept(
            ("decisions", journey.name, str(days)),
            lambda store: decision_days(store, journey, _now(service, store), days),
        )

    @get("/v1/console/mail")
    async def mail(request: Asking) -> Body:
        days, own = _days(request), _families(service)
        return await looks.kept(
            ("mail", str(days)),
            lambda store: mail_days(store, own, _now(service, store), days),
        )

    @get("/v1/console/reach")
    async def reached(request: Asking) -> Body:
        return await looks.kept(("reach",), lambda store: reach(store, _now(service, store)))

    @get("/v1/console/health")
    async def health(request: Asking) -> Body:
        bundle = _bundle(service, request)
        name = ("health", bundle.journey.name)
        return await looks.kept(name, lambda store: _health(store, bundle))

    own = (_lift_route(looks, service, lift_reports), _story_route(looks, service))
    return [about, decisions, mail, reached, health, *own, *_pages()]


def _lift_route(looks: _Looks, service: Service, reports: Path | None) -> HTTPRouteHandler:
    """The latest report of the verb `lift` on a journey."""

    @get("/v1/console/lift")
    async def lift(request: Asking) -> Body:
        name = _bundle(service, request).journey.name
        return await looks.kept(
            ("lift", name), lambda store: lift_look(reports, name, _plan(service, store, name))
        )

    return lift


def _story_route(looks: _Looks, service: Service) -> HTTPRouteHandler:
    """What happened to one contact."""

    @get("/v1/timelines/{contact_id:str}")
    async def story(request: Asking) -> Body:
        name = str(request.path_params["contact_id"])
        require_id(name, "$.contact_id", contact=True)

        def work(store: StoreReader) -> Body:
            found = timeline(store, name, _now(service, store))
            if found is None:
                return problem(404, "unknown contact", f"no contact has the id {name!r}")
            return json_answer(_encode(found))

        return await looks.fresh(work)

    return story


def _pages() -> list[HTTPRouteHandler]:
    """The files of the console: they hold no figures, and are open to everybody."""
    folder = resources.files("nurture_rl.serving.http").joinpath("console")
    files = {
        path: (folder.joinpath(name).read_bytes(), kind) for path, (name, kind) in _FILES.items()
    }

    def answer(name: str) -> Body:
        if name not in files:
            return problem(404, "not possible", "there is no such path; the console is at /console")
        content, kind = files[name]
        return Response(content, media_type=kind, headers=_GUARDED)

    @get("/console")
    async def page() -> Body:
        return answer("")

    @get("/console/{name:str}")
    async def file(request: Asking) -> Body:
        return answer(str(request.path_params["name"]))

    return [page, file]


def _now(service: Service, store: StoreReader) -> int:
    """The moment; of a rehearsal, whose clock its requests set, that of the latest decision."""
    if service.settings.simulated_clock:
        latest = [store.latest_decision_us(one.name) for one in service.journeys]
        if known := [at_us for at_us in latest if at_us is not None]:
            return max(known)
    return service.settings.clock()


def _days(request: Asking) -> int:
    given = request.query_params.get("days", str(_DAYS[1]))
    if given not in map(str, _DAYS):
        raise RequestError(
            f"expected days of {', '.join(map(str, _DAYS))}, got {given[:40]!r} - at `days`"
        )
    return int(given)


def _bundle(service: Service, request: Asking) -> Bundle:
    """The bundle of the journey that is asked for; of the first where none is."""
    name = request.query_params.get("journey")
    return (service.journeys.first if name is None else service.journeys.named(name)).bundle


def _plan(service: Service, store: StoreReader, journey: str) -> StartedPlan | None:
    """The plan of the experiment that a journey is served with; None: none runs."""
    running = service.journeys.named(journey).policies.lineup.roles.experiment
    return next((plan for plan in store.plans() if plan.experiment == running), None)


def _families(service: Service) -> Mapping[str, str]:
    """The families of domains that any journey names; those of the first come first."""
    found: dict[str, str] = {}
    for one in reversed(list(service.journeys)):
        found.update(families_of(one.bundle.journey.guardrails.volume))
    return found


def _health(store: StoreReader, bundle: Bundle) -> HealthOut:
    """What the verb `monitor` finds, where there is not too much to read beside the work."""
    journey = bundle.journey.name
    options = MonitorOptions(store=store.location_name, bundle="")
    end_us = store.latest_decision_us(journey)
    if end_us is None:
        return HealthOut(journey, "nothing was decided yet", [], options.days, options.before)
    since_us = end_us - (options.days + options.before) * DAY_US
    if (count := store.count_decisions(journey, since_us)) > _MOST_WATCHED:
        text = f"{count} decisions are too many to read here; run `nurture monitor` beside"
        return HealthOut(journey, text, [], options.days, options.before)
    try:
        figures, _ = monitored(store, bundle, options)
    except ConfigError as error:
        return HealthOut(journey, str(error), [], options.days, options.before)
    rows = [
        HealthFigures(one.name, one.before, one.now, one.limit, one.alert, one.says)
        for one in sorted(figures, key=lambda figure: not figure.alert)
    ]
    return HealthOut(journey, "", rows, options.days, options.before)
