"""What a server looks at again and again: roles that others changed, and harms of the canary."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from nurture_rl.serving.deciding.same_journeys import require_same_journeys
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.policies.harm_watch import HarmWatch
from nurture_rl.serving.roles import RoleError
from nurture_rl.serving.store_errors import StoreError, StoreUnavailable

_EVERY = 1.0  # seconds
_HARMS = 60  # looks between two at the harms, at least
_SHARE = 0.05  # of the time at most is spent looking at harms

_log = logging.getLogger(__name__)


class RegularLooks:
    """A thread that looks until its block ends."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._watches = [
            HarmWatch(one.bundle.journey, service.store, one.policies) for one in service.journeys
        ]
        self._over, self._told = threading.Event(), ""
        self._unavailable = False  # as of the latest look; an outage is told once
        self._thread = threading.Thread(target=self._run, name="regular-looks", daemon=True)

    def __enter__(self) -> RegularLooks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        looks, rest = 0, 0.0
        while not self._over.wait(_EVERY):
            looks, rest = looks + 1, rest - _EVERY
            if self._service.store.is_shared:
                self._try(self._service.journeys.follow)
                self._try(self._look_beside)
            if looks >= _HARMS and rest <= 0.0:
                began = time.monotonic()
                for watch in self._watches:
                    self._try(watch.look)
                looks, rest = 0, (time.monotonic() - began) / _SHARE

    def _look_beside(self) -> None:
        """Stay seen by other servers, and say where one serves other journeys."""
        service = self._service
        try:
            require_same_journeys(service.store, [one.name for one in service.journeys])
            self._told = ""
        except StoreError as error:
            if (text := str(error)) != self._told:  # once, not at every look
                _log.error("%s", text)
            self._told = text

    def _try(self, look: Callable[[], object]) -> None:
        try:
            look()
            self._unavailable = False
        except RoleError:  # another server was first
            return
        except StoreUnavailable as error:
            if not self._unavailable:
                _log.warning("policies cannot be looked at: %s; it is tried again", error)
            self._unavailable = True
        except Exception:  # whatever went wrong: without further looks no harm would ever be seen
            _log.exception("policies could not be looked at")
