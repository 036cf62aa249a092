"""HTTP: where a request may go, and answers read: whether and when to retry, which version of a file (RFC 9110)."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urljoin

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from benchmark.errors import DataError

GONE, REFUSED = (404, 410, 451), (401, 403)
EMBEDDING = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""Networks whose last four bytes are an address of IPv4: compatible, mapped, and translated ones (RFC 7915, 6052)."""
ISATAP = 0x5EFE
"""What the upper half of an interface's identifier has, but for its global bit, where the lower is one (RFC 5214)."""
UNICAST = ipaddress.IPv6Network("2000::/3")
"""All addresses of IPv6 that are given out for the whole Internet."""
SIZE = r"[0-9]{1,18}"
"""A number of bytes in a header."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
FOR_NOW = (408, 425, 429, 500, 502, 503, 504)


class PrivateAddress(DataError):
    """A server or a list leads to this machine or its network, where a stranger has no business."""


class Session(requests.Session):
    """Requests that follow redirections, to addresses of this machine and its network only where `local` says so."""

    def __init__(self, local: bool) -> None:
        super().__init__()
        self.local = local

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where an answer sends to; None where it does not. Raises PrivateAddress."""
        target = super().get_redirect_target(resp)
        if target and not self.local:
            require_public(urljoin(resp.url, target), f"{resp.url} redirects to")
        return target


def require_public(url: str, said: str) -> None:
    """PrivateAddress where the host of `url` is, or has the address of, this machine or a private network.

    A name that cannot be looked up here passes: a proxy may know it. `said`: who names the address.
    """
    for address in _addresses(_host(url)):
        elsewhere = isinstance(address, ipaddress.IPv6Address) and address not in UNICAST
        if not address.is_global or address.is_multicast or elsewhere:
            raise PrivateAddress(
                f"{said} {url}, which is an address of this machine or its network ({address}); if that is intended, "
                "add --local-addresses to datasets fetch"
            )


def _host(url: str) -> str:
    """The host that a request for `url` connects to: read as `requests` reads it, since readers differ about `\\@`."""
    try:
        host = parse_url(url).host or ""
    except LocationParseError:  # no request is made of it either
        return ""
    return host.strip("[]").partition("%")[0].rstrip(".").lower()


def _addresses(host: str) -> Iterator[Address]:
    """All addresses where a packet to a host may end, embedded ones of IPv4 too; none where the host is not known."""
    try:
        found = {str(place[4][0]).partition("%")[0] for place in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):
        found = {"127.0.0.1"} if host == "localhost" or host.endswith(".localhost") else set()
    for text in sorted(found):
        address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv4Address):
            yield address
        else:
            yield _embedded(address) or address
            if (int(address) >> 32) & 0xFDFFFFFF == ISATAP:  # the prefix says which router embeds it: both count
                yield _last_bytes(address)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The address of IPv4 where a packet to this one ends, if any; versions of Python judge this one differently."""
    if any(address in network for network in EMBEDDING):
        return _last_bytes(address)
    return address.sixtofour


def _last_bytes(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def require_plain(response: requests.Response) -> None:
    """DataError where a body is encoded: none was asked for, and a few bytes may unpack to any number."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise DataError(f"{response.url}: the answer is compressed ({encoding[:40]}), which was not asked for; refused")


def version_of(response: requests.Response) -> str | None:
    """What tells versions of a file apart: a strong ETag, else the date of the last change."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def content_length(response: requests.Response) -> int | None:
    """Bytes of the body as an answer states them; None where it states none, or no size that a file can have."""
    told = response.headers.get("Content-Length", "")
    return int(told) if re.fullmatch(SIZE, told) else None


def content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and size of the whole file as a partial answer states them."""
    match = re.fullmatch(rf"bytes ({SIZE})-{SIZE}/({SIZE}|\*)", response.headers.get("Content-Range", ""))
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
        return "no data arrived for too long"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return "no connection" if isinstance(error, requests.ConnectionError) else " ".join(str(error).split())[:200]
