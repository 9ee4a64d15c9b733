"""Where the API server is and who we are: the Pod's service account, or a kubeconfig.

Loaded once a process and shared by both clients that need it: ours and kopf's. Tokens live in files that change; ours
is read again every minute, kopf's with every login.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from dialogue_operator.cluster.errors import Unavailable

TOKEN_SECONDS = 60.0


@dataclass(frozen=True)
class Credentials:
    """One reading of them, in the words of a plain HTTP client."""

    server: str
    ca_path: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None
    insecure: bool


async def configuration(kubeconfig: Path | None) -> Configuration:
    """The official client's configuration, whose token stays fresh. Raises Unavailable where there is none."""
    try:
        return await _load(kubeconfig)
    except ConfigException as error:
        raise Unavailable("credentials", 0, f"{kubeconfig or 'service account'}: {error}") from error


async def _load(kubeconfig: Path | None) -> Configuration:
    found = Configuration()
    # Proxies of the environment are for the world outside; a kubeconfig names its own as `proxy-url`.
    found.client_session_kwargs = {"trust_env": False}
    if kubeconfig is None:
        load_incluster_config(client_configuration=found)  # comes with a hook that reads the token again
        return found
    await load_kube_config(config_file=str(kubeconfig), client_configuration=found, persist_config=False)
    read_at = time.monotonic()

    async def read_again(config: Configuration) -> None:
        nonlocal read_at
        if time.monotonic() - read_at > TOKEN_SECONDS:
            await load_kube_config(config_file=str(kubeconfig), client_configuration=config, persist_config=False)
            read_at = time.monotonic()

    found.refresh_api_key_hook = read_again
    return found


async def authorization(config: Configuration) -> str | None:
    """The Authorization header of now; None where a client certificate speaks for us."""
    settings = await config.auth_settings()
    return settings["BearerToken"]["value"] if "BearerToken" in settings else None


async def credentials(kubeconfig: Path | None) -> Credentials:
    config = await configuration(kubeconfig)
    header = await authorization(config)
    return Credentials(
        server=config.host,
        ca_path=config.ssl_ca_cert,
        token=header.partition(" ")[2] if header else None,
        certificate_path=config.cert_file,
        private_key_path=config.key_file,
        insecure=not config.verify_ssl,
    )
