"""Reinforcement learning for behaviour-based email nurturing."""
