"""The OpenAPI document, made from the very structs that decode and encode the bodies."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from nurture_rl.serving.http import (
    confirm_wire,
    console_wire,
    handoff_wire,
    journey_wire,
    policy_wire,
    preference_wire,
    wire,
)
from nurture_rl.serving.http.contact_reason import ContactReason
from nurture_rl.serving.http.explain_wire import Explanation
from nurture_rl.serving.senders.known_senders import KNOWN_SENDERS
from nurture_rl.serving.watching.decision_days import DecisionDays
from nurture_rl.serving.watching.lift_reports import LiftLook
from nurture_rl.serving.watching.mail_days import MailDays
from nurture_rl.serving.watching.reach import Reach
from nurture_rl.serving.watching.timeline import Timeline

_JSON, _PROBLEM = "application/json", "application/problem+json"
_DECISION_ID = {
    "name": "decision_id",
    "in": "path",
    "required": True,
    "description": "An id with a slash goes into the body of `/v1/decisions/confirm`.",
    "schema": {"type": "string", "minLength": 1},
}
_POLICY_ID = {
    "name": "policy_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}


_STRUCTS = (
    *(wire.DecisionsIn, wire.DecisionsOut, wire.EventsIn, wire.EventsOut, wire.EventIn),
    *(wire.ContactsIn, wire.ContactsOut, wire.Health, wire.Problem, confirm_wire.DecisionState),
    *(confirm_wire.ConfirmIn, confirm_wire.ConfirmationOut),
    *(confirm_wire.ConfirmationsIn, confirm_wire.ConfirmationsOut),
    *(preference_wire.PreferencesIn, preference_wire.PreferencesOut, preference_wire.ConsentState),
    *(Explanation, ContactReason),
    *policy_wire.STRUCTS,
    *journey_wire.STRUCTS,
    *handoff_wire.STRUCTS,
    *console_wire.STRUCTS,
)


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of the server."""
    template = "#/components/schemas/{name}"
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template=template)
    decisions = _operation(
        "decide", "Decide for one or many contacts", wire.DecisionsIn, wire.DecisionsOut
    )
    decisions["responses"]["404"] = _response("No contact asked for is known", wire.Problem)
    decisions["responses"]["409"] = _response("A request_id was used meanwhile", wire.Problem)
    events = _operation("add_events", "Report events", wire.EventsIn, wire.EventsOut)
    events["responses"]["422"] = _response(
        "A rejected row may forbid mail: no client may overlook it", wire.EventsOut
    )
    confirm, confirm_many, state = _confirming()
    why = _look("explain", "Why a decision was made, as data and in words", Explanation)
    why["responses"]["404"] = _response("No decision has that id", wire.Problem)
    reason = _look("why", "Why a contact got a mail, told to the contact", ContactReason)
    reason["responses"]["404"] = _response("No decision has that id", wire.Problem)
    health = {
        "operationId": "health",
        "summary": "What is served, and whether the store can be written",
        "responses": {
            "200": _response("Ready", wire.Health),
            "503": _response("The store cannot be written", wire.Health),
        },
    }
    for operation in (decisions, confirm, confirm_many, state, why, reason, events):
        _ask_for_key(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "nurture_rl decisions", "version": "1"},
        "paths": {
            "/v1/decisions": {"post": decisions},
            "/v1/decisions/confirm": {"post": confirm_many},
            "/v1/decisions/{decision_id}": {"get": state, "parameters": [_DECISION_ID]},
            "/v1/decisions/{decision_id}/explain": {"get": why, "parameters": [_DECISION_ID]},
            "/v1/decisions/{decision_id}/why": {"get": reason, "parameters": [_DECISION_ID]},
            "/v1/decisions/{decision_id}/confirm": {
                "post": confirm,
                "parameters": [_DECISION_ID],
            },
            "/v1/events": {"post": events},
            **_contacts(),
            "/u/{token}": _unsubscribing(),
            "/u/{token}/why/{decision_id}": _why_page(),
            "/v1/webhooks/{sender}": _webhooks(),
            **_policies(),
            **_journeys(),
            **_handoffs(),
            **_console(),
            "/healthz": {"get": health},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _contacts() -> dict[str, dict[str, Any]]:
    """Putting contacts, saying what mail one wants, and looking at it."""
    contacts = _operation(
        "put_contacts", "Add or replace contacts", wire.ContactsIn, wire.ContactsOut
    )
    preferences = _operation(
        "put_preferences",
        "Say what mail a contact wants",
        preference_wire.PreferencesIn,
        preference_wire.PreferencesOut,
    )
    told = _look("preferences", "What mail a contact wants, and why", preference_wire.ConsentState)
    told["responses"]["400"] = _response("The id cannot be one", wire.Problem)
    for operation in (preferences, told):
        operation["responses"]["404"] = _response("No contact has that id", wire.Problem)
    for operation in (contacts, preferences, told):
        _ask_for_key(operation)
    path = {"get": told, "put": preferences, "parameters": [{**_POLICY_ID, "name": "contact_id"}]}
    return {"/v1/contacts": {"put": contacts}, "/v1/contacts/{contact_id}/preferences": path}


def _unsubscribing() -> dict[str, Any]:
    """The page of a link, which nobody needs a key for."""
    page = {"content": {"text/html": {"schema": {"type": "string"}}}}
    answers = {
        "200": {"description": "A page", **page},
        "400": {"description": "The form cannot be read; nothing was changed", **page},
        "404": {"description": "Nobody gave that link out", **page},
    }
    form = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
    return {
        "get": {
            "operationId": "mail_page",
            "summary": "A form to unsubscribe or to choose; looking changes nothing",
            "responses": {name: answers[name] for name in ("200", "404")},
        },
        "post": {
            "operationId": "unsubscribe",
            "summary": "One-click unsubscribe after RFC 8058, or the form's preferences",
            "requestBody": {"required": True, "content": form},
            "responses": answers,
        },
        "parameters": [{**_POLICY_ID, "name": "token"}],
    }


def _why_page() -> dict[str, Any]:
    """The page that tells a contact why, which nobody needs a key for."""
    page = {"content": {"text/html": {"schema": {"type": "string"}}}}
    return {
        "get": {
            "operationId": "why_page",
            "summary": "Why a contact got a mail; looking changes nothing",
            "responses": {
                "200": {"description": "A page", **page},
                "404": {"description": "No link of ours, or of another contact", **page},
            },
        },
        "parameters": [{**_POLICY_ID, "name": "token"}, _DECISION_ID],
    }


def _webhooks() -> dict[str, Any]:
    """What senders of mail report, signed by them in place of a key."""
    webhook = _operation("webhook", "What a sender reports", wire.EventsIn, wire.EventsOut)
    rows = {"type": "array", "items": {"type": "object"}, "maxItems": wire.MAX_ROWS}
    webhook["requestBody"]["content"][_JSON]["schema"] = {"oneOf": [rows, {"type": "object"}]}
    webhook["responses"] |= {
        "200": _response("Every row was stored, or is told with its reason", wire.EventsOut),
        "401": _response("Not signed by the sender, or too long ago", wire.Problem),
        "404": _response("No webhooks of that sender are taken", wire.Problem),
    }
    sender = {"type": "string", "enum": sorted(KNOWN_SENDERS)}
    return {"post": webhook, "parameters": [{**_POLICY_ID, "name": "sender", "schema": sender}]}


def _confirming() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Confirming one decision, confirming many, and looking at one."""
    confirm = _operation(
        "confirm",
        "Ask whether a decision is to be sent now",
        confirm_wire.ConfirmIn,
        confirm_wire.ConfirmationOut,
    )
    confirm["requestBody"]["required"] = False
    confirm_many = _operation(
        "confirm_many",
        "Ask whether decisions are to be sent now",
        confirm_wire.ConfirmationsIn,
        confirm_wire.ConfirmationsOut,
    )
    for operation in (confirm, confirm_many):
        operation["responses"]["404"] = _response("No decision has such an id", wire.Problem)
    state = {
        "operationId": "decision",
        "summary": "A decision and what became of it",
        "responses": {
            "200": _response("The decision", confirm_wire.DecisionState),
            "404": _response("No decision has that id", wire.Problem),
            "503": _response("The server is busy, or its store is lost", wire.Problem),
        },
    }
    return confirm, confirm_many, state


def _policies() -> dict[str, dict[str, Any]]:
    """What is loaded, and who decides from now on, by path and method."""
    answer, role = policy_wire.PoliciesOut, policy_wire.RoleIn
    asked: dict[str, tuple[str, type]] = {
        "/v1/policies": ("Load a bundle", policy_wire.LoadIn),
        "/v1/policies/{policy_id}/shadow": ("Ask a policy and do not follow it", role),
        "/v1/policies/{policy_id}/canary": (
            "Let a policy decide for a share of new episodes",
            policy_wire.CanaryIn,
        ),
        "/v1/policies/{policy_id}/promote": ("Let a policy decide for everybody", role),
        "/v1/policies/{policy_id}/rollback": ("Take a policy's role away", role),
        "/v1/experiment/end": ("End the experiment of a journey", policy_wire.EndExperimentIn),
        "/v1/switch": ("Policies, rules alone, or a pause for everybody", policy_wire.SwitchIn),
    }
    found: dict[str, dict[str, Any]] = {}
    for path, (summary, body) in asked.items():
        name, of = path.rpartition("/")[2], "experiment" if "experiment" in path else "policy"
        operation = _operation(f"{name}_{of}", summary, body, answer)
        operation["responses"]["404"] = _response("No policy of that id is loaded", wire.Problem)
        operation["responses"]["409"] = _response("The roles are others", wire.Problem)
        found[path] = {"post": operation}
    found["/v1/policies"]["get"] = _look("policies", "What is loaded", answer)
    log = _look("policy_log", "Every change of roles", policy_wire.PolicyLogOut)
    found["/v1/policies/log"] = {"get": log}
    for path, operations in found.items():
        for operation in operations.values():
            _ask_for_key(operation)
        operations["parameters"] = [_POLICY_ID] if "{" in path else []
    return found


def _journeys() -> dict[str, dict[str, Any]]:
    """Who is in which journey, and moving them, by path and method."""
    contact, why = "/v1/journeys/{journey}/contacts/{contact_id}", journey_wire.JourneyWhyIn
    asked: dict[str, tuple[str, type, type]] = {
        contact: ("Let a contact enter", journey_wire.EnrolIn, journey_wire.MovedOut),
        f"{contact}/exit": ("Let a contact leave", why, journey_wire.MovedOut),
        f"{contact}/pause": ("Send a contact nothing for now", why, journey_wire.MovedOut),
        f"{contact}/resume": ("Let a contact go on", why, journey_wire.MovedOut),
        "/v1/journeys/{journey}/pause": ("Pause for everybody", why, journey_wire.JourneysOut),
        "/v1/journeys/{journey}/resume": ("Go on for everybody", why, journey_wire.JourneysOut),
    }
    found: dict[str, dict[str, Any]] = {}
    for path, (summary, body, answer) in asked.items():
        last = path.rpartition("/")[2]
        name = (
            "enrol" if path == contact else f"{last}_{'contact' if contact in path else 'journey'}"
        )
        operation = _operation(name, summary, body, answer)
        operation["responses"]["409"] = _response("Not as things stand", wire.Problem)
        found[path] = {"post": operation}
    shown = _look("contact_in_journey", "A contact's episodes", journey_wire.ContactJourneyOut)
    shown["responses"]["400"] = _response("The id cannot be one", wire.Problem)
    found[contact]["get"] = shown
    for operations in found.values():
        for operation in operations.values():
            operation["responses"]["404"] = _response("No such journey or contact", wire.Problem)
    listed = _look("journeys", "The journeys that are served", journey_wire.JourneysOut)
    log = _look("journey_log", "Who moved whom, and why", journey_wire.JourneyLogOut)
    found |= {"/v1/journeys": {"get": listed}, "/v1/journeys/log": {"get": log}}
    for path, operations in found.items():
        for operation in operations.values():
            _ask_for_key(operation)
        names = [name for name in ("journey", "contact_id") if f"{{{name}}}" in path]
        operations["parameters"] = [{**_POLICY_ID, "name": name} for name in names]
    return found


def _handoffs() -> dict[str, dict[str, Any]]:
    """Whom the policies passed on to sales."""
    listed = _look("handoffs", "Hand-offs to sales of one status", handoff_wire.HandoffsOut)
    listed["responses"]["400"] = _response("No such status", wire.Problem)
    status: dict[str, Any] = {"enum": list(get_args(handoff_wire.HandoffStatus))}
    listed["parameters"] = [{"name": "status", "in": "query", "schema": status}]
    shown = _look("handoff", "One hand-off", handoff_wire.HandoffOut)
    shown["responses"]["404"] = _response("No hand-off has that id", wire.Problem)
    for operation in (listed, shown):
        _ask_for_key(operation)
    named = [{**_POLICY_ID, "name": "handoff_id"}]
    return {
        "/v1/handoffs": {"get": listed},
        "/v1/handoffs/{handoff_id}": {"get": shown, "parameters": named},
    }


def _console() -> dict[str, dict[str, Any]]:
    """What the console shows, by path."""
    days = {"type": "integer", "enum": [7, 28, 90], "default": 28}
    asks: dict[str, dict[str, Any]] = {
        "days": {"name": "days", "in": "query", "schema": days},
        "journey": {"name": "journey", "in": "query", "schema": {"type": "string"}},
    }
    asked: dict[str, tuple[str, str, type, tuple[str, ...]]] = {
        "": ("console", "What the key may do", console_wire.ConsoleOut, ()),
        "/decisions": (
            "decision_days",
            "What was decided in the latest days",
            DecisionDays,
            ("days", "journey"),
        ),
        "/mail": ("mail_days", "Mail and harms by family of mailboxes", MailDays, ("days",)),
        "/reach": ("reach", "How many contacts mail may reach", Reach, ()),
        "/health": (
            "monitored",
            "What the verb monitor finds",
            console_wire.HealthOut,
            ("journey",),
        ),
        "/lift": ("lift", "The latest report of the verb lift", LiftLook, ("journey",)),
    }
    found: dict[str, dict[str, Any]] = {}
    for path, (name, summary, answer, queries) in asked.items():
        operation = _look(name, summary, answer)
        if queries:
            operation["responses"]["400"] = _response("No such days", wire.Problem)
        if "journey" in queries:
            operation["responses"]["404"] = _response("No such journey", wire.Problem)
        parameters = [asks[one] for one in queries]
        found[f"/v1/console{path}"] = {"get": operation, "parameters": parameters}
    story = _look("timeline", "One contact's story", Timeline)
    story["responses"]["400"] = _response("The id cannot be one", wire.Problem)
    story["responses"]["404"] = _response("No contact has that id", wire.Problem)
    parameters = [{**_POLICY_ID, "name": "contact_id"}]
    found["/v1/timelines/{contact_id}"] = {"get": story, "parameters": parameters}
    for operations in found.values():
        _ask_for_key(operations["get"])
    return found


def _ask_for_key(operation: dict[str, Any]) -> None:
    operation["responses"] |= {
        "401": _response("The server has keys, and the request none of them", wire.Problem),
        "403": _response("The key does not open this path", wire.Problem),
    }
    operation["security"] = [{"key": []}, {}]  # none where the server has no keys


def _look(name: str, summary: str, answer: type) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": _response("As it is now", answer),
            "503": _response("The server is busy, or its store is lost", wire.Problem),
        },
    }


def _operation(name: str, summary: str, body: type, answer: type) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {_JSON: {"schema": _reference(body)}}},
        "responses": {
            "200": _response("Done, and on disk", answer),
            "400": _response(
                "The body is not as described; the detail names the path", wire.Problem
            ),
            "408": _response("The body did not come in time", wire.Problem),
            "413": _response("The body is too large", wire.Problem),
            "503": _response(
                "The store cannot be written, or the server is busy: then `Retry-After` says how "
                "many seconds to wait",
                wire.Problem,
            ),
        },
    }


def _response(description: str, struct: type) -> dict[str, Any]:
    media = _PROBLEM if struct is wire.Problem else _JSON
    return {"description": description, "content": {media: {"schema": _reference(struct)}}}


def _reference(struct: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}
