"""How many pods a model has, read from its Deployments and routes."""

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from demo.shell import kubectl_json, wait_for
from scale.models import NAMESPACE

MODEL, REVISION = "serving.dialogue.dev/model", "serving.dialogue.dev/revision"


@dataclass(frozen=True)
class Size:
    """Of one Deployment."""

    asked: int
    ready: int


def sizes(model: str) -> dict[str, Size]:
    """By revision."""
    return _sizes(kubectl_json("get", "deployments", "-n", NAMESPACE, "-l", f"{MODEL}={model}")["items"])


def reached(model: str, count: int, seconds: float) -> float:
    """Wait until the model has exactly so many pods, all ready; returns the seconds that took."""

    def there() -> bool:
        found = sizes(model).values()
        return sum(one.asked for one in found) == sum(one.ready for one in found) == count

    return wait_for(f"{count} ready pods of {model}", there, seconds, every=0.2)


class CapacityWatch:
    """Compares, several times a second, each revision's share of the traffic with the pods it has ready for it."""

    def __init__(self, model: str, full: int) -> None:
        self.model, self.full = model, full
        self.weights: list[dict[str, int]] = []  # each combination once, in order
        self.short: list[str] = []
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "CapacityWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            self._look()
            time.sleep(0.05)

    def _look(self) -> None:
        """The route is read before the pods: pods that came in between hide less than 0.1 s of a lack."""
        selector = f"{MODEL}={self.model}"
        items = kubectl_json("get", "httproutes,deployments", "-n", NAMESPACE, "-l", selector)["items"]
        weights = _weights([one for one in items if one["kind"] == "HTTPRoute"])
        ready = _sizes([one for one in items if one["kind"] == "Deployment"])
        self.looks += 1
        if weights not in self.weights[-1:]:
            self.weights.append(weights)
        for revision, weight in weights.items():
            needed, there = math.ceil(self.full * weight / 100), ready.get(revision, Size(0, 0)).ready
            if there < needed:
                self.short.append(f"{revision} has {weight} % and {there} of {needed} pods")


def _sizes(deployments: list[dict[str, Any]]) -> dict[str, Size]:
    return {
        one["metadata"]["labels"][REVISION]: Size(one["spec"].get("replicas", 1), one["status"].get("readyReplicas", 0))
        for one in deployments
    }


def _weights(routes: list[dict[str, Any]]) -> dict[str, int]:
    """Of the last rule, which is the one for new conversations; a Service is called MODEL-REVISION-predictor."""
    found = routes[0]["spec"]["rules"][-1]["backendRefs"] if routes else []
    return {one["name"].split("-")[-2]: one.get("weight", 1) for one in found if one.get("weight", 1)}
