"""What a revision's pods ask of those who take nodes away: one at a time, spread out, and quickly elsewhere."""

from dialogue_operator import names
from dialogue_operator.api.base import Json
from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.render.metadata import metadata
from dialogue_operator.rollout.plan import Plan

LOST_NODE_SECONDS = 10  # five minutes by default: long for pods that can start elsewhere


def disruption_budgets(model: DialogueModel, plan: Plan) -> list[Json]:
    """One a revision that may have two pods or more; a single one must stay movable."""
    return [_budget(model, one.revision) for one in plan.revisions if max(one.replicas, one.most) >= 2]


def _budget(model: DialogueModel, revision: str) -> Json:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(model, names.service_name(model.name, revision), revision),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",  # a pod that does not come up must not hold a drain
            "selector": _pods(model, revision),
        },
    }


def placement(model: DialogueModel, revision: str) -> Json:
    """Fields of a pod spec: on several nodes where there are several, and away from a lost one within seconds."""
    return {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": _pods(model, revision),
            }
        ],
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{trouble}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": LOST_NODE_SECONDS,
            }
            for trouble in ("not-ready", "unreachable")
        ],
    }


def _pods(model: DialogueModel, revision: str) -> Json:
    return {"matchLabels": {names.LABEL_MODEL: model.name, names.LABEL_REVISION: revision}}
