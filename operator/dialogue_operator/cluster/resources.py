"""The kinds that the operator reads or writes, and where the API server keeps them."""

from dataclasses import dataclass

from dialogue_operator import names
from dialogue_operator.api.base import Json


@dataclass(frozen=True)
class Resource:
    """One kind: `group/version` as in `apiVersion`, and the plural that stands in paths."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    @property
    def root(self) -> str:
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        place = f"/namespaces/{namespace}" if namespace else ""
        parts = (self.root + place, self.plural, name, subresource)
        return "/".join(part for part in parts if part)


DIALOGUE_MODEL = Resource(names.API_VERSION, names.KIND, names.PLURAL)
INFERENCE_SERVICE = Resource("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
SERVING_RUNTIME = Resource("serving.kserve.io/v1alpha1", "ServingRuntime", "servingruntimes")
HTTP_ROUTE = Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
GRPC_ROUTE = Resource("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes")
DEPLOYMENT = Resource("apps/v1", "Deployment", "deployments")
POD = Resource("v1", "Pod", "pods")
EVENT = Resource("v1", "Event", "events")
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps")
AUTOSCALER = Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
BUDGET = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
SCALED_OBJECT = Resource("keda.sh/v1alpha1", "ScaledObject", "scaledobjects")
HTTP_SCALED_OBJECT = Resource("http.keda.sh/v1alpha1", "HTTPScaledObject", "httpscaledobjects")
LEASE = Resource("coordination.k8s.io/v1", "Lease", "leases")
RULES_REVIEW = Resource("authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews")

ROUTES = (HTTP_ROUTE, GRPC_ROUTE)
CHILDREN = (INFERENCE_SERVICE, DEPLOYMENT, *ROUTES)  # what rings when it changes
REQUIRED = (DIALOGUE_MODEL, INFERENCE_SERVICE, SERVING_RUNTIME, *ROUTES)  # APIs that must be served before we start

_WRITTEN = (
    DIALOGUE_MODEL, INFERENCE_SERVICE, SERVING_RUNTIME, *ROUTES, DEPLOYMENT, LEASE, AUTOSCALER, BUDGET, SCALED_OBJECT,
    HTTP_SCALED_OBJECT,
)  # fmt: skip
_BY_KIND = {resource.kind: resource for resource in _WRITTEN}


def resource_of(manifest: Json) -> Resource:
    return _BY_KIND[manifest["kind"]]


def controller_uid(manifest: Json) -> str | None:
    """The uid of the owner that controls this object."""
    owners = manifest["metadata"].get("ownerReferences", [])
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)
