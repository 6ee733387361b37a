"""The least a durable endpoint does: decode features, ask the model, commit a row, answer.

python bare_endpoint.py MODEL.onnx LOG.db PORT
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import uvicorn
from litestar import Litestar, Request, Response, get, post

_KEPT = threading.local()


class Body(msgspec.Struct):
    """One contact, its features known already."""

    features: list[float]
    mask: list[bool]


def main(model: str, log: str, port: int) -> None:
    """Serve until interrupted."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)
    decode, encode = msgspec.json.Decoder(Body).decode, msgspec.json.Encoder().encode

    def kept() -> sqlite3.Connection:
        if not hasattr(_KEPT, "log"):
            _KEPT.log = sqlite3.connect(log, timeout=60.0, isolation_level=None)
            _KEPT.log.execute("PRAGMA journal_mode=WAL")
            _KEPT.log.execute("PRAGMA synchronous=FULL")
            _KEPT.log.execute("CREATE TABLE IF NOT EXISTS decisions (action INTEGER, answer BLOB)")
        return _KEPT.log  # type: ignore[no-any-return]

    def decide(content: bytes) -> bytes:
        body = decode(content)
        given = {
            "features": np.array([body.features], np.float32),
            "mask": np.array([body.mask], np.bool_),
        }
        (table,) = session.run(None, given)
        action = int(table[0].argmax())
        answer = encode({"action": action, "probabilities": table[0].tolist()})
        kept().execute("INSERT INTO decisions VALUES (?, ?)", (action, answer))
        return answer

    @post("/decide", status_code=200)
    async def endpoint(request: Request[Any, Any, Any]) -> Response[bytes]:
        answer = await asyncio.to_thread(decide, await request.body())
        return Response(answer, media_type="application/json")

    @get("/healthz")
    async def health() -> str:
        return "ok"

    kept()
    uvicorn.run(Litestar([endpoint, health]), port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
