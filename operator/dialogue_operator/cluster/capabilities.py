"""Which APIs for scaling the cluster serves: asked now and then, for they come and go with what people install."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dialogue_operator.cluster.errors import Unavailable
from dialogue_operator.render.capabilities import Capabilities

Discover = Callable[[str], Awaitable[frozenset[str]]]  # the plurals of a group and version, as `KubeClient.discover`

FRESH_SECONDS = 60.0
AGGREGATED_SECONDS = 3.0
KEDA, HTTP_ADD_ON, METRICS = "keda.sh/v1alpha1", "http.keda.sh/v1alpha1", "metrics.k8s.io/v1beta1"


@dataclass(frozen=True)
class ScalingSettings:
    """What the API server cannot tell: where KEDA finds Prometheus ("": nowhere), and where its HTTP add-on runs."""

    prometheus_url: str = ""
    keda_namespace: str = "keda"


class CapabilitySurvey:
    """Kept for a minute. Raises ApiError where the API server does not answer: a guess would take scalers away."""

    def __init__(self, discover: Discover, settings: ScalingSettings, clock: Callable[[], float] | None = None) -> None:
        self._discover, self._settings = discover, settings
        self._clock = clock or asyncio.get_running_loop().time
        self._lock = asyncio.Lock()
        self._known: Capabilities | None = None
        self._until = 0.0

    async def now(self) -> Capabilities:
        async with self._lock:
            if self._known is None or self._clock() >= self._until:
                self._known = await self._ask()
                self._until = self._clock() + FRESH_SECONDS
            return self._known

    async def _ask(self) -> Capabilities:
        keda, http_addon, metrics = await asyncio.gather(
            self._discover(KEDA), self._discover(HTTP_ADD_ON), self._serves_metrics()
        )
        return Capabilities(
            keda="scaledobjects" in keda,
            http_addon="httpscaledobjects" in http_addon,
            metrics=metrics,
            prometheus_url=self._settings.prometheus_url,
            keda_namespace=self._settings.keda_namespace,
        )

    async def _serves_metrics(self) -> bool:
        """Another server stands behind this API. It is installed even while that one does not answer."""
        try:
            async with asyncio.timeout(AGGREGATED_SECONDS):
                return "pods" in await self._discover(METRICS)
        except (TimeoutError, Unavailable):
            return True
