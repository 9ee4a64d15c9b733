"""Workers take keys from the queue, and arrange for the next look at each."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from dialogue_operator.cluster.errors import ApiError, Conflict, NotLeading
from dialogue_operator.controller.queue import Key, WorkQueue
from dialogue_operator.controller.telemetry import Metrics

log = logging.getLogger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]


async def work(
    queue: WorkQueue,
    reconcile: Reconcile,
    limit_seconds: float,
    metrics: Metrics,
    progress: Callable[[], None],
) -> None:
    """One worker, until the queue is closed; what it began it finishes."""
    while (key := await queue.get()) is not None:
        began = time.monotonic()
        try:
            result = await _attempt(queue, key, reconcile, limit_seconds)
        finally:
            queue.done(key)
        progress()
        metrics.reconciles.labels(result).inc()
        metrics.reconcile_seconds.observe(time.monotonic() - began)


async def _attempt(queue: WorkQueue, key: Key, reconcile: Reconcile, limit_seconds: float) -> str:
    """The result as a word, with the next attempt arranged for."""
    try:
        async with asyncio.timeout(limit_seconds):
            wake_after = await reconcile(key)
    except Conflict as error:
        log.info("changed meanwhile, looking again: %s", error, extra=_about(key))
        queue.add(key)
        return "conflict"
    except NotLeading as error:
        log.warning("%s", error, extra=_about(key))
        queue.retry(key)
        return "not_leading"
    except (ApiError, TimeoutError) as error:
        text = str(error) or f"not done within {limit_seconds:.0f} s"
        log.warning("%s; next try in %.1f s", text, queue.retry(key), extra=_about(key))
        return "error"
    except Exception:  # one poisonous object must not take the others with it
        log.exception("unexpected; next try in %.1f s", queue.retry(key), extra=_about(key))
        return "bug"
    queue.succeeded(key)
    if wake_after is not None:
        queue.add(key, wake_after)
    return "ok"


def _about(key: Key) -> dict[str, object]:
    return {"fields": {"namespace": key[0], "model": key[1]}}
