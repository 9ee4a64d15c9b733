"""Traefik as the implementation of the Gateway API, and one Gateway that takes routes from every namespace."""

from cluster import api
from cluster.build import program
from cluster.places import ADMIN_KUBECONFIG, GATEWAY_NAME, GATEWAY_NAMESPACE, NODE_IP
from cluster.processes import start

PORT = 80  # a listener is Programmed only if an entry point has its port


def create() -> None:
    start(
        "traefik",
        program("traefik"),
        f"--entrypoints.web.address={NODE_IP}:{PORT}",
        "--entrypoints.metrics.address=127.0.0.1:8082",
        "--metrics.prometheus.entrypoint=metrics",
        "--providers.kubernetesgateway=true",
        f"--providers.kubernetesgateway.statusaddress.ip={NODE_IP}",
        "--providers.providersthrottleduration=100ms",  # 2 s by default: too long to learn that a pod is leaving
        "--log.level=INFO",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        env={"KUBECONFIG": str(ADMIN_KUBECONFIG)},
    )
    api.apply(_class(), _gateway())


def is_programmed() -> bool:
    return api.holds("Programmed", f"gateway/{GATEWAY_NAME}", "-n", GATEWAY_NAMESPACE)


def _class() -> api.Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "traefik"},
        "spec": {"controllerName": "traefik.io/gateway-controller"},
    }


def _gateway() -> api.Manifest:
    listener = {"name": "web", "protocol": "HTTP", "port": PORT, "allowedRoutes": {"namespaces": {"from": "All"}}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY_NAME, "namespace": GATEWAY_NAMESPACE},
        "spec": {"gatewayClassName": "traefik", "listeners": [listener]},
    }
