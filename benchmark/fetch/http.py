"""HTTP answers read: whether and when to retry, and which version of a file it is (RFC 9110)."""

from __future__ import annotations

import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time

import requests

GONE = (401, 403, 404, 410, 451)
FOR_NOW = (408, 425, 429, 500, 502, 503, 504)


def version_of(response: requests.Response) -> str | None:
    """What tells versions of a file apart: a strong ETag, else the date of the last change."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and size of the whole file as a partial answer states them."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    return (int(match[1]), int(match[2]) if match[2] != "*" else None) if match else (None, None)


def retry_after(response: requests.Response) -> float | None:
    """Seconds that the server asks to wait; it may state a date instead."""
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time())
    return None


def reason_of(error: Exception) -> str:
    """Why a connection failed, in a few words."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "nothing came for too long"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "no connection" if isinstance(error, requests.ConnectionError) else " ".join(str(error).split())[:200]
