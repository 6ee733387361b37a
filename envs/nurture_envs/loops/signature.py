"""How a world's loops are called, whoever wrote them."""

from numba import types

_FLOATS, _WHOLES, _DOUBLES = types.float32[::1], types.int64[::1], types.float64[::1]

# Scratch: floats, whole numbers, flags, doubles; constants: floats, doubles; tables: floats, whole
# numbers; contacts.
SIGNATURE = types.void(
    _FLOATS, _WHOLES, types.boolean[::1], _DOUBLES, _FLOATS, _DOUBLES, _FLOATS, _WHOLES,
    types.int64,
)  # fmt: skip
