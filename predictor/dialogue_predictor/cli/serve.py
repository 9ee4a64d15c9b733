"""`dialogue serve`: a manifest, a bundle or a pod's environment, answered over HTTP and gRPC.

The spec is validated and the bundle's bytes are verified before torch or kserve are imported, so that a pod that
cannot start says why within a second, in one line, where Kubernetes looks for it.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dialogue_predictor import names
from dialogue_predictor.artifacts.bundle import Bundle, locate, open_bundle
from dialogue_predictor.config.source import Serving, read_environment, read_path
from dialogue_predictor.errors import DialogueError
from dialogue_predictor.serving.ports import check, claim

if TYPE_CHECKING:
    from dialogue_predictor.backends.base import Observer
    from dialogue_predictor.inference.engine import DialogueEngine
    from dialogue_predictor.serving.server import Predictor

EXAMPLE = "Example: dialogue serve manifests/samples/quickstart.yaml"
LOCAL_HOST, POD_HOST = "127.0.0.1", "0.0.0.0"


def serve(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[MANIFEST|BUNDLE]", help=f"Without it, {names.ENV_SPEC} in the environment."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; this machine only by default.")] = None,
    http_port: Annotated[int, typer.Option(help="HTTP port.", min=1, max=65535)] = names.HTTP_PORT,
    grpc_port: Annotated[int, typer.Option(help="gRPC port.", min=1, max=65535)] = names.GRPC_PORT,
    workers: Annotated[
        int, typer.Option(help="Threads that decode batches of their own and share the cores.", min=1)
    ] = 1,
) -> None:
    """Serve a model here: v1, v2 over HTTP and gRPC, and chat completions."""
    try:
        serving, bundle = prepare(source)
        at = host or (POD_HOST if serving.in_pod else LOCAL_HOST)
        listener = claim(at, http_port, "--http-port")
        check(at, grpc_port, "--grpc-port")
        server = load_server()

        def load(observer: "Observer") -> "DialogueEngine":
            # on the loading thread: torch takes seconds to import, and probes are answered meanwhile
            from dialogue_predictor.inference.loading import load_engine

            return load_engine(bundle, serving.spec, observer, workers)

        predictor = server(serving, load, listener, f"[{at}]:{grpc_port}" if ":" in at else f"{at}:{grpc_port}")
        asyncio.run(predictor.run(lambda: say_how_to_ask(serving, at, http_port)))
    except DialogueError as error:
        die(error)


serve.__doc__ = f"{serve.__doc__}\n\n{EXAMPLE}"


def prepare(source: Path | None) -> tuple[Serving, Bundle]:
    """What to serve, its spec valid and its bundle verified. Raises DialogueError."""
    serving = read_environment(os.environ) if source is None else read_path(source, os.environ)
    model = serving.spec.model
    return serving, open_bundle(locate(model.uri), model.digest)


def load_server() -> "type[Predictor]":
    """Import what is slow to import; kserve parses the command line when it is imported, so it gets none."""
    with _bare_argv():
        from dialogue_predictor.serving.logs import configure_logs
        from dialogue_predictor.serving.server import Predictor
    configure_logs()
    return Predictor


def say_how_to_ask(serving: Serving, host: str, port: int) -> None:
    """On a terminal, the line to type next."""
    if serving.in_pod or not sys.stdout.isatty():
        return
    url = f"http://{host}:{port}"
    message = f'{{"model":"{serving.name}","messages":[{{"role":"user","content":"hello"}}]}}'
    typer.echo(f"\n{serving.name} answers at {url}. Ask it:\n")
    typer.echo(f"  dialogue chat {url}")
    typer.echo(f"  curl {url}/v1/chat/completions -d '{message}'\n")


def die(error: DialogueError, termination_log: Path = Path(names.TERMINATION_LOG)) -> None:
    """One line for Kubernetes and one for people; exit code 1."""
    line = " ".join(str(error).split())
    typer.echo(line, err=True)
    try:
        if termination_log.exists():
            termination_log.write_text(line + "\n", encoding="utf-8")
    except OSError:
        pass  # not in a pod, or not ours to write: stderr has the line
    raise typer.Exit(1)


@contextmanager
def _bare_argv() -> Iterator[None]:
    argv, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = argv
