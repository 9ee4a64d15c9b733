"""How many pods a share of the traffic needs: pods come before weight."""

import math

from dialogue_operator.api.dialogue_model import DialogueModel
from dialogue_operator.api.status import DialogueModelStatus
from dialogue_operator.rollout.observed import Observed


def replicas_for(size: int, weight: int) -> int:
    """Pods for `weight` percent of what `size` pods carry; at least one."""
    return max(1, math.ceil(size * weight / 100))


def full_size(model: DialogueModel, status: DialogueModelStatus, observed: Observed) -> int:
    """Pods that carry all the traffic now: what is asked for, or what an autoscaler has made of the stable revision."""
    scaling = model.spec.scaling
    if (scaling.max_replicas or 0) <= scaling.min_replicas:
        return max(1, scaling.min_replicas)
    stable = observed.of(status, status.stable_revision)
    return max(1, scaling.min_replicas, stable.replicas if stable else 0)
