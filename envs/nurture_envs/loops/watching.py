"""What a world does while it is traced that its trace does not show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode

from nurture_envs.loops.tracing import UntraceableError, traced_among

_LUCK = {
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal",
    "bernoulli", "multinomial", "poisson", "dropout", "binomial",
}  # fmt: skip


_RAISED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Watch(TorchFunctionMode):
    """Finds, while a world is traced, what a trace does not show: other luck, lost origins."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Refuse what would be recorded as a constant."""
        name = getattr(func, "__name__", "").removesuffix("_")
        if name in _LUCK:
            raise UntraceableError(f"cannot be written as a loop: {name}; take `draws.uniforms`")
        if name == "tensor" and next(traced_among(args), None) is not None:
            raise UntraceableError("cannot be written as a loop: torch.tensor of a tensor")
        made = func(*args, **(kwargs or {}))
        if name == "arange" and made.numel() == 1:
            raise UntraceableError("cannot be written as a loop: torch.arange of contacts")
        return made


def traced_call(function: Callable[..., Any], *args: Any) -> Any:
    """A world's function of traced tensors.

    Raises:
        UntraceableError: it cannot be traced, whatever it raised.
    """
    try:
        with Watch():
            return function(*args)
    except _RAISED as error:
        raise UntraceableError(f"cannot be written as a loop: {error}") from error
