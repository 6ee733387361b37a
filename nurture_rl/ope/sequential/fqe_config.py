"""How the network of fitted-Q evaluation is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FqeConfig:
    """How the network is trained."""

    hidden: tuple[int, ...] = (256, 256)  # units of each hidden layer
    batch: int = 256  # decisions per gradient step
    learning_rate: float = 1e-3  # of Adam
    refresh: int = 100  # gradient steps between renewals of the network that goals come from
    follow: float = 0.5  # share of the way to the trained network it goes then, in (0, 1]
    max_steps: int = 10_000  # gradient steps of each fold, after which no further look is taken
    check_every: int = 5  # renewals between looks at the value
    settled: float = 0.02  # a value that moves by less, in deviations of returns, has settled
    patience: int = 3  # settled looks in a row that end the training
    n_folds: int = 2  # groups of contacts; 1 trains on all and is not cross-fitted
    seed: int = 0  # of folds, weights and batches
    device: str = "cpu"  # or "cuda"
