"""What an operator process is told: by its flags or its environment, once, at start."""

import os
import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dialogue_operator.cluster.client import Limits
from dialogue_operator.cluster.lease import LeaseTiming
from dialogue_operator.render.routes import GatewayRef

PREFIX = "DIALOGUE_OPERATOR_"


@dataclass(frozen=True)
class Settings:
    """`watch_namespaces` empty means all; `kubeconfig` None means the Pod's service account; times are seconds."""

    gateway: GatewayRef
    predictor_image: str
    watch_namespaces: tuple[str, ...] = ()
    lease_namespace: str = "dialogue-system"
    lease_name: str = "dialogue-operator"
    health_port: int = 8080  # 0: any free port
    health_address: str = ""  # every address
    workers: int = 10
    kubeconfig: Path | None = None
    resync_seconds: float = 300.0
    reconcile_seconds: float = 30.0
    identity: str = field(default_factory=lambda: f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}")
    lease_timing: LeaseTiming = field(default_factory=LeaseTiming)
    limits: Limits = field(default_factory=Limits)
    prometheus_url: str = ""  # empty: gates read the predictors' own metrics pages
    prometheus_token_file: Path | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """From DIALOGUE_OPERATOR_* variables. Raises ValueError naming the variable that is missing or unreadable."""
        env = os.environ if environ is None else environ
        duration = _number(env, "LEASE_SECONDS", LeaseTiming.duration)
        scale = duration / LeaseTiming.duration
        timing = LeaseTiming(
            duration, LeaseTiming.deadline * scale, LeaseTiming.retry * scale, LeaseTiming.call * min(1.0, scale)
        )
        writes = _number(env, "WRITES_PER_SECOND", Limits.writes_per_second)
        reads = _number(env, "READS_PER_SECOND", Limits.reads_per_second)
        inside = "KUBERNETES_SERVICE_HOST" in env
        namespaces = env.get(f"{PREFIX}WATCH_NAMESPACES", "").replace(",", " ").split()
        return cls(
            gateway=GatewayRef(
                _required(env, "GATEWAY_NAME"), _required(env, "GATEWAY_NAMESPACE"), _required(env, "DOMAIN")
            ),
            predictor_image=_required(env, "PREDICTOR_IMAGE"),
            watch_namespaces=tuple(namespaces),
            lease_namespace=env.get(f"{PREFIX}LEASE_NAMESPACE", cls.lease_namespace),
            lease_name=env.get(f"{PREFIX}LEASE_NAME", cls.lease_name),
            health_port=int(_number(env, "HEALTH_PORT", cls.health_port)),
            health_address=env.get(f"{PREFIX}HEALTH_ADDRESS", cls.health_address),
            workers=int(_number(env, "WORKERS", cls.workers)),
            kubeconfig=None if inside else Path(env.get("KUBECONFIG") or "~/.kube/config").expanduser(),
            resync_seconds=_number(env, "RESYNC_SECONDS", cls.resync_seconds),
            lease_timing=timing,
            limits=Limits(reads_per_second=reads, writes_per_second=writes),
            prometheus_url=_url(env, "PROMETHEUS_URL"),
            prometheus_token_file=Path(token) if (token := env.get(f"{PREFIX}PROMETHEUS_TOKEN_FILE")) else None,
        )


def _required(env: Mapping[str, str], name: str) -> str:
    if not (value := env.get(PREFIX + name)):
        raise ValueError(f"{PREFIX}{name} is not set")
    return value


def _url(env: Mapping[str, str], name: str) -> str:
    """Empty where it is not set."""
    text = env.get(PREFIX + name, "").strip()
    if text and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        raise ValueError(f"{PREFIX}{name} is {text!r}; it must be like http://prometheus.monitoring:9090")
    return text.rstrip("/")


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(PREFIX + name, str(default))
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{PREFIX}{name} is {text!r}, which is not a number") from None
    if value < 0:
        raise ValueError(f"{PREFIX}{name} is {text!r}; it cannot be negative")
    return value
