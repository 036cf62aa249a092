"""Who may ask the demo's page: this machine's browser, on a page of this machine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmark.use.demo import POLICY, Guard


def answers(kind: str, **headers: str) -> list[dict[str, Any]]:
    """What is sent to a request with these headers."""
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": f"{kind}.response.start" if kind == "http" else "websocket.accept", "status": 200, "headers": []}
        )

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(Guard(app)({"type": kind, "headers": pairs}, None, send))
    return sent


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "127.0.0.1"])
@pytest.mark.parametrize("origin", [{}, {"origin": "http://127.0.0.1:7860"}, {"origin": "http://localhost:7860"}])
def test_this_machine_gets_its_page_with_its_policy(host: str, origin: dict[str, str]) -> None:
    (start,) = answers("http", host=host, **origin)
    assert start["status"] == 200 and (b"content-security-policy", POLICY.encode()) in start["headers"]
    assert answers("websocket", host=host, **origin)[0]["type"] == "websocket.accept"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:7860"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "["},
        {"host": "127.0.0.1:7860", "origin": "https://evil.example"},
        {"host": "127.0.0.1:7860", "origin": "null"},
    ],
)
def test_a_page_of_elsewhere_gets_nothing(headers: dict[str, str]) -> None:
    assert answers("http", **headers)[0]["status"] == 403
    assert answers("websocket", **headers) == [{"type": "websocket.close", "code": 1008}]
