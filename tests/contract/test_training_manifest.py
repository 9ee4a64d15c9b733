"""The training manifest beside Kubeflow's own resource definitions, as a real API server checks them, and our own flags."""

import json
import time
from typing import Any

import pytest
import typer.main
from click import Command

from cluster.build import module_folder
from cluster.shell import CommandFailed as NotFetched
from dialogue_predictor.cli.train import app
from dialogue_predictor.training.parallel.layout import Layout
from support.apiserver import PATIENCE_SECONDS, ApiServer, CommandFailed
from support.objects import changed
from support.samples import SAMPLES, documents

TRAINER, VERSION = "github.com/kubeflow/trainer/v2", "v2.0.0"
KINDS = ("trainjobs", "trainingruntimes")
CLAIM, RUNTIME, JOB = documents(SAMPLES / "train" / "trainjob.yaml")


@pytest.fixture(scope="module")
def server(api_server: ApiServer) -> ApiServer:
    """An API server that knows Kubeflow Trainer's resources, from their sources in the Go module proxy."""
    try:
        folder = module_folder(TRAINER, VERSION) / "manifests" / "base" / "crds"
    except NotFetched as failure:
        pytest.skip(f"Kubeflow Trainer {VERSION} cannot be fetched: {failure}")
    for kind in KINDS:
        api_server.kubectl("create", "-f", str(folder / f"trainer.kubeflow.org_{kind}.yaml"))
    until = time.monotonic() + PATIENCE_SECONDS
    while not served(api_server):
        assert time.monotonic() < until, "the definitions are not served"
        time.sleep(0.1)
    return api_server


def served(server: ApiServer) -> bool:
    try:
        server.kubectl("get", ",".join(KINDS))
    except CommandFailed:
        return False
    return True


def create(server: ApiServer, document: dict[str, Any]) -> str:
    """What the server says to it, or would: nothing is kept. Fields are checked strictly."""
    words = ("create", "--dry-run=server", "--validate=strict", "--output=name", "-f", "-")
    return server.kubectl(*words, stdin=json.dumps(document)).strip()


@pytest.mark.parametrize("document", [CLAIM, RUNTIME, JOB], ids=lambda document: document["kind"])
def test_the_manifest_fits_the_schemas(document: dict[str, Any], server: ApiServer) -> None:
    assert create(server, document).endswith("/" + document["metadata"]["name"])


@pytest.mark.parametrize(
    ("document", "path", "value", "said"),
    [
        (JOB, "spec.trainer.processes", 2, 'unknown field "spec.trainer.processes"'),
        (JOB, "spec.trainer.args", "train", "spec.trainer.args"),
        (RUNTIME, "spec.mlPolicy.torch.processes", 2, 'unknown field "spec.mlPolicy.torch.processes"'),
        (
            RUNTIME,
            "spec.template.spec.failurePolicy.maxRestarts",
            "ten",
            "spec.template.spec.failurePolicy.maxRestarts",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_what_does_not_fit_is_refused(
    document: dict[str, Any], path: str, value: object, said: str, server: ApiServer
) -> None:
    with pytest.raises(CommandFailed) as refused:
        create(server, changed(document, {path: value}))
    assert said in str(refused.value)


def test_the_job_runs_on_the_runtime_and_finds_its_claims() -> None:
    reference, pod = JOB["spec"]["runtimeRef"], pod_of(RUNTIME)
    assert (reference["kind"], reference["name"]) == (RUNTIME["kind"], RUNTIME["metadata"]["name"])
    claims = {one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one}
    assert claims == {"dialogue-data", CLAIM["metadata"]["name"]}
    assert {one["name"] for one in pod["volumes"]} == {one["name"] for one in pod["containers"][0]["volumeMounts"]}


def test_our_command_understands_the_arguments() -> None:
    given = JOB["spec"]["trainer"]["args"]
    assert given[:2] == ["train", "finetune"]
    command: Command = typer.main.get_command(app).commands[given[1]]  # type: ignore[attr-defined]
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert {argument.partition("=")[0] for argument in given[2:]} <= known


def test_the_processes_make_a_layout_that_the_model_can_be_split_by() -> None:
    trainer = JOB["spec"]["trainer"]
    options = dict(argument.removeprefix("--").split("=") for argument in trainer["args"] if "=" in argument)
    world = trainer["numNodes"] * trainer["numProcPerNode"]
    layout = Layout.of(world, options["data-parallel"], int(options["tensor-parallel"]))
    layout.check(int(options["heads"]), int(options["ffn"]))
    assert layout.mesh == (1, trainer["numNodes"], trainer["numProcPerNode"]), "a layer's pieces stay within a node"


def pod_of(runtime: dict[str, Any]) -> dict[str, Any]:
    job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]
    pod: dict[str, Any] = job["template"]["spec"]["template"]["spec"]
    return pod
