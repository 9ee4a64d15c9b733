"""One API server with the CRD and a namespace, for all tests of this folder."""

import time

import pytest

from dialogue_operator import names
from dialogue_operator.api.crd import crd
from support.apiserver import PATIENCE_SECONDS, ApiServer, CommandFailed


@pytest.fixture(scope="session")
def api(api_server: ApiServer) -> ApiServer:
    api_server.apply(crd(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "assistants"}})
    until = time.monotonic() + PATIENCE_SECONDS
    while not _served(api_server):
        assert time.monotonic() < until, "the CRD is not served"
        time.sleep(0.1)
    return api_server


def _served(server: ApiServer) -> bool:
    try:
        server.kubectl("get", names.PLURAL, "--all-namespaces")
    except CommandFailed:
        return False
    return True
