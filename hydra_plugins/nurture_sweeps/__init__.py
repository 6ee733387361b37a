"""Hydra's plugins of nurture_rl: `hydra/launcher=ray` and `hydra/sweeper=optuna`."""
