"""From checked logs to the decision table; the only room that knows the event engine."""

from nurture_rl.features.table import DecisionTable, decision_table

__all__ = ["DecisionTable", "decision_table"]
