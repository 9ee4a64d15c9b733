"""What a cluster has for scaling, as a value; `cluster.capabilities` finds it out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """By default nothing but Kubernetes itself."""

    keda: bool = False  # ScaledObject
    http_addon: bool = False  # HTTPScaledObject
    metrics: bool = False  # metrics.k8s.io: what pods use, without which cpu scales nothing
    prometheus_url: str = ""  # as KEDA reaches it
    keda_namespace: str = "keda"  # where its HTTP add-on runs, too

    @property
    def queries(self) -> bool:
        """Something can be scaled on what the predictors themselves export."""
        return self.keda and bool(self.prometheus_url)

    @property
    def sleep(self) -> bool:
        """A model can go down to no pod: somebody holds its requests until one is there."""
        return self.keda and self.http_addon
