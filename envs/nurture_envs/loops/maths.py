"""Functions of one number that loops can run many of at a time: no tables, no branches.

They are within two units in the last place of what torch gives, and equal to themselves whatever
the place of a number in a loop: nothing is reassociated or fused.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from nurture_envs.jit import jit

inlined = jit(forceinline=True)

_ONE, _HALF = np.float32(1.0), np.float32(0.5)
_MOST, _LEAST = np.float32(88.0), np.float32(-87.0)  # exp beyond them is not a normal float32
_LOG2_E = np.float32(1.44269504088896341)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_TURN = np.float32(0.15915494309189535)  # 1 / (2 pi)
# 2 pi in three parts, the first two with few bits: their products with whole numbers are exact.
_PI_1, _PI_2 = np.float32(6.28125), np.float32(1.9350051879882812e-3)
_PI_3 = np.float32(3.0199159819e-07)


def _float_of(context: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), code


_as_float: Any = intrinsic(_float_of)


def _pick(context: Any, condition: Any, yes: Any, no: Any) -> Any:
    """`yes if condition else no` without a branch; both are worked out."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return yes(types.boolean, yes, yes), code


pick: Any = intrinsic(_pick)


@inlined
def whole_quotient(x: Any, y: Any) -> Any:
    """`x // y` of whole numbers below 2**53 whose quotient is below 2**15, y > 0."""
    return np.int64(np.floor(np.float64(x) / np.float64(y)))


@inlined
def exp(x: Any) -> Any:
    """e^x of a float32: x = n ln 2 + r, e^x = 2^n e^r, e^r by its series.

    Source: Cephes Mathematical Library, expf.
    """
    x = min(max(x, _LEAST), _MOST)
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH
    r = r - n * _LN2_LOW
    y = np.float32(1.9875691500e-4)
    y = y * r + np.float32(1.3981999507e-3)
    y = y * r + np.float32(8.3334519073e-3)
    y = y * r + np.float32(4.1665795894e-2)
    y = y * r + np.float32(1.6666665459e-1)
    y = y * r + np.float32(5.0000001201e-1)
    y = y * (r * r) + r + _ONE
    return y * _as_float(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))


@inlined
def exp2(x: Any) -> Any:
    """2^x of a float32."""
    x = min(max(x, np.float32(-126.0)), np.float32(127.0))
    n = np.floor(x + _HALF)
    r = x - n
    y = np.float32(1.535336188319500e-4)
    y = y * r + np.float32(1.339887440266574e-3)
    y = y * r + np.float32(9.618437357674640e-3)
    y = y * r + np.float32(5.550332471162809e-2)
    y = y * r + np.float32(2.402264791363012e-1)
    y = y * r + np.float32(6.931472028550421e-1)
    y = y * r + _ONE
    return y * _as_float(np.int32((np.int32(n) + np.int32(127)) << np.int32(23)))


@inlined
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x) of a float32."""
    return _ONE / (_ONE + exp(-x))


@inlined
def cos(x: Any) -> Any:
    """The cosine of a float32 within some thousand turns of 0, by its series on half a turn."""
    n = np.floor(x * _TURN + _HALF)
    r = x - n * _PI_1
    r = r - n * _PI_2
    r = r - n * _PI_3
    z = r * r
    y = np.float32(-1.5619207e-16)
    y = y * z + np.float32(4.7794773e-14)
    y = y * z + np.float32(-1.1470746e-11)
    y = y * z + np.float32(2.0876757e-9)
    y = y * z + np.float32(-2.7557319e-7)
    y = y * z + np.float32(2.4801587e-5)
    y = y * z + np.float32(-1.3888889e-3)
    y = y * z + np.float32(4.1666668e-2)
    y = y * z - _HALF
    return y * z + _ONE


def _polynomial(*coefficients: float) -> Any:
    table = np.array(coefficients, np.float64)

    @numba.njit(nogil=True, error_model="numpy")
    def value(x: float) -> Any:
        total = table[0]
        for at in range(1, len(table)):
            total = total * x + table[at]
        return total

    return value


_P0 = _polynomial(
    -5.99633501014107895267e1,
    9.80010754185999661536e1,
    -5.66762857469070293439e1,
    1.39312609387279679503e1,
    -1.23916583867381258016e0,
)
_Q0 = _polynomial(
    1.0,
    1.95448858338141759834e0,
    4.67627912898881538453e0,
    8.63602421390890590575e1,
    -2.25462687854119370527e2,
    2.00260212380060660359e2,
    -8.20372256168333339912e1,
    1.59056225126211695515e1,
    -1.18331621121330003142e0,
)
_P1 = _polynomial(
    4.05544892305962419923e0,
    3.15251094599893866154e1,
    5.71628192246421288162e1,
    4.40805073893200834700e1,
    1.46849561928858024014e1,
    2.18663306850790267539e0,
    -1.40256079171354495875e-1,
    -3.50424626827848203418e-2,
    -8.57456785154685413611e-4,
)
_Q1 = _polynomial(
    1.0,
    1.57799883256466749731e1,
    4.53907635128879210584e1,
    4.13172038254672030440e1,
    1.50425385692907503408e1,
    2.50464946208309415979e0,
    -1.42182922854787788574e-1,
    -3.80806407691578277194e-2,
    -9.33259480895457427372e-4,
)
_ROOT_TAU = 2.50662827463100050242
_TAIL = 0.13533528323661269189  # e^-2


@jit()
def ndtri(y: float) -> Any:
    """The standard normal quantile of y in [2^-25, 1 - 2^-25].

    Source: Cephes Mathematical Library, ndtri; the far tail's third pair of polynomials is not
    needed, because draws have 24 bits.
    """
    flipped = y > 1.0 - _TAIL
    p = 1.0 - y if flipped else y
    if p > _TAIL:
        p -= 0.5
        square = p * p
        return (p + p * (square * _P0(square) / _Q0(square))) * _ROOT_TAU
    root = np.sqrt(-2.0 * np.log(p))
    inverse = 1.0 / root
    tail = root - np.log(root) / root - inverse * _P1(inverse) / _Q1(inverse)
    return tail if flipped else -tail
