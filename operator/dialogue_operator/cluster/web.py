"""Plain HTTP to what may be slow, gone or lying: bounded time, bounded size, no redirects, no proxies."""

from collections.abc import Mapping

import aiohttp

MOST_BYTES = 8 * 1024 * 1024


def session(connections: int, headers: Mapping[str, str] | None = None) -> aiohttp.ClientSession:
    """For one look: nothing is kept between looks that would have to be closed, or could go stale."""
    connector = aiohttp.TCPConnector(limit=connections)
    return aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False)


async def text_of(response: aiohttp.ClientResponse) -> str:
    """The whole body. Raises ValueError where it is too long or not UTF-8."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MOST_BYTES:
            raise ValueError(f"an answer of more than {MOST_BYTES} bytes")
    return body.decode()


def said(error: BaseException) -> str:
    """An error in a few words; a time-out has none of its own."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (str(error) or type(error).__name__)[:300]
