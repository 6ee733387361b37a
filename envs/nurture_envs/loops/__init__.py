"""Whole bins of many contacts as loops that numba compiles; nothing here loads without numba.

Worlds are written once, in torch. `tracing` records what a world does for one contact, `emitting`
writes that down as loops, `play` puts them between the loops of guardrails, features and restarts.
Where results must be those of plain torch to the last bit, the world answers in torch instead.
"""
