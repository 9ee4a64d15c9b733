"""What must be true of the cluster before work begins: the APIs are served, and we may do what we do.

Without it a missing CRD would be a crash loop, and a missing permission minutes of silent retries inside kopf.
"""

import asyncio
from collections.abc import Sequence

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.cluster.client import KubeClient
from dialogue_operator.cluster.resources import HTTP_SCALED_OBJECT, REQUIRED, RULES_REVIEW, SCALED_OBJECT

_SERVING, _GATEWAY = "serving.kserve.io", "gateway.networking.k8s.io"
KEPT = ("list", "create", "patch", "delete")
NEEDED = (
    (names.GROUP, names.PLURAL, ("get", "list", "watch")),
    (names.GROUP, f"{names.PLURAL}/status", ("patch",)),
    (_SERVING, "inferenceservices", ("get", "list", "watch", "create", "delete")),
    (_SERVING, "servingruntimes", ("get", "list", "create", "delete")),
    (_GATEWAY, "httproutes", ("get", "list", "watch", "create", "patch")),
    (_GATEWAY, "grpcroutes", ("get", "list", "watch", "create", "patch")),
    ("apps", "deployments", ("list", "watch")),
    ("apps", "deployments/scale", ("patch",)),
    ("", "pods", ("list",)),
    ("", "events", ("list", "create")),
    ("", "configmaps", ("get",)),
    ("autoscaling", "horizontalpodautoscalers", KEPT),
    ("policy", "poddisruptionbudgets", KEPT),
)
# Asked for where the API is there.
OPTIONAL = {SCALED_OBJECT: KEPT, HTTP_SCALED_OBJECT: KEPT}


async def missing_apis(client: KubeClient) -> list[str]:
    """Kinds that the server does not serve, as `plural.group/version`."""
    versions = sorted({resource.api_version for resource in REQUIRED})
    found = dict(zip(versions, await asyncio.gather(*map(client.discover, versions)), strict=True))
    return [f"{r.plural}.{r.group}/{r.version}" for r in REQUIRED if r.plural not in found[r.api_version]]


async def missing_permissions(client: KubeClient, namespaces: Sequence[str]) -> list[str]:
    """What RBAC does not grant us, as `verb group/resource`; of all namespaces when none is named."""
    needed = [*NEEDED, *await _optional(client)]
    missing: set[str] = set()
    for namespace in namespaces or ("default",):
        body = {"apiVersion": RULES_REVIEW.api_version, "kind": RULES_REVIEW.kind, "spec": {"namespace": namespace}}
        status = (await client.review(RULES_REVIEW, body)).get("status") or {}
        if status.get("incomplete"):  # an authorizer that cannot list its rules: the calls themselves will tell
            continue
        rules = status.get("resourceRules", [])
        for group, resource, verbs in needed:
            missing |= {f"{v} {resource}.{group}".rstrip(".") for v in verbs if not _granted(rules, group, resource, v)}
    return sorted(missing)


async def _optional(client: KubeClient) -> list[tuple[str, str, tuple[str, ...]]]:
    served = await asyncio.gather(*(client.discover(resource.api_version) for resource in OPTIONAL))
    return [
        (r.group, r.plural, verbs)
        for (r, verbs), found in zip(OPTIONAL.items(), served, strict=True)
        if r.plural in found
    ]


def _granted(rules: Sequence[Json], group: str, resource: str, verb: str) -> bool:
    subresource = resource.partition("/")[2]
    resources = {"*", resource} | ({f"*/{subresource}"} if subresource else set())
    return any(
        {"*", group} & set(rule.get("apiGroups", []))
        and resources & set(rule.get("resources", []))
        and {"*", verb} & set(rule.get("verbs", []))
        and not rule.get("resourceNames")
        for rule in rules
    )
