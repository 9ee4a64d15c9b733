"""Evidence for gates: what revisions did since a step began, from Prometheus or from the pods themselves.

May live here: asking for metrics and counting them. May not: judgement (`rollout.gates`), and anything that has to be
right for traffic to be safe. A source that is gone, slow or lying shows as missing evidence with its reason, which is
never success and never failure.
"""

from pathlib import Path

from dialogue_operator.cluster.evidence.pods import Lister, PodPages
from dialogue_operator.cluster.evidence.prometheus import Prometheus
from dialogue_operator.cluster.evidence.source import Source

__all__ = ["Source", "source_of"]


def source_of(client: Lister, prometheus_url: str, token_file: Path | None = None) -> Source:
    """Prometheus where there is one; keep what this returns, for pods are counted from the first look on."""
    return Prometheus(prometheus_url, token_file) if prometheus_url else PodPages(client)
