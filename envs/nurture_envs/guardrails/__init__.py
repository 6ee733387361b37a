"""What forbids an action now, and why: one implementation for simulator, training and server."""

from nurture_envs.guardrails.eligibility import COMPARISONS, eligible
from nurture_envs.guardrails.guardrail_facts import GuardrailFacts, lags_of, standing
from nurture_envs.guardrails.reasons import Reason, reason_names
from nurture_envs.guardrails.rules import legal_actions

__all__ = [
    "COMPARISONS",
    "GuardrailFacts",
    "Reason",
    "eligible",
    "lags_of",
    "legal_actions",
    "reason_names",
    "standing",
]
