"""The CustomResourceDefinition, printed from the models: `dialogue-operator crd`."""

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.schema import structural_schema
from dialogue_operator.api.spec import DialogueModelSpec
from dialogue_operator.api.status import DialogueModelStatus


def crd() -> Json:
    """The whole CRD as an object ready to apply."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.KIND.lower(),
                "shortNames": [names.SHORT_NAME],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _schema()},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.scaling.minReplicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": _columns(),
                }
            ],
        },
    }


def _schema() -> Json:
    return {
        "type": "object",
        "description": "A dialogue model in production: what is served, and how a new version takes over.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural_schema(DialogueModelSpec),
            "status": structural_schema(DialogueModelStatus),
        },
        "x-kubernetes-validations": [
            {
                "rule": f"size(self.metadata.name) <= {names.MAX_NAME_LENGTH} "
                f"&& self.metadata.name.matches('{names.NAME_PATTERN}')",
                "message": f"metadata.name must be {names.NAME_RULE}",
            }
        ],
    }


def _columns() -> list[Json]:
    column = [
        ("Phase", "string", ".status.phase", 0),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
        ("Version", "string", ".status.stableVersion", 0),
        ("Stable", "string", ".status.stableRevision", 0),
        ("Candidate", "string", ".status.candidateRevision", 0),
        ("Weight", "integer", ".status.rollout.weight", 0),
        ("Step", "integer", ".status.rollout.step", 1),
        ("Paused", "string", ".status.rollout.paused", 1),
        ("Failing", "string", '.status.gates[?(@.verdict=="Fail")].name', 1),
        ("Replicas", "integer", ".status.readyReplicas", 1),
        ("Reason", "string", '.status.conditions[?(@.type=="Progressing")].reason', 1),
        ("Message", "string", '.status.conditions[?(@.type=="Progressing")].message', 1),
        ("URL", "string", ".status.url", 0),
        ("Age", "date", ".metadata.creationTimestamp", 0),
    ]
    # what is written is what the API server keeps, which leaves a priority of 0 out: GitOps tools see no drift
    return [{"name": n, "type": t, "jsonPath": p} | ({"priority": w} if w else {}) for n, t, p, w in column]
