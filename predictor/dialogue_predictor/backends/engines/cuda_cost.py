"""What a turn costs on a GPU: as a graph, without, and beside the time its bytes take at the memory's speed."""

import random
import time
from dataclasses import dataclass
from statistics import median

import torch

from dialogue_predictor.backends.engines.cuda import CudaEngine, cuda_engine
from dialogue_predictor.backends.engines.cuda_weights import CudaWeights
from dialogue_predictor.decoding.beam import begin
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.search import padded
from dialogue_predictor.decoding.turn import turn
from dialogue_predictor.model.transformer import DialogueTransformer

COPIED_BYTES = 1 << 30  # many times any cache
REPEATS = 5


@dataclass(frozen=True)
class TurnCost:
    """Medians over replies of their mean turn; a reply's encoding and its first turn do not count."""

    graph_seconds: float
    eager_seconds: float
    turn_bytes: int  # see `turn_bytes`
    bytes_per_second: float  # of the device's memory, measured by copying

    @property
    def graph_speedup(self) -> float:
        return self.eager_seconds / self.graph_seconds

    @property
    def roofline(self) -> float:
        """The share of the memory's speed that the graph reaches, counting only bytes that it has to move."""
        return self.turn_bytes / self.bytes_per_second / self.graph_seconds


def turn_cost(
    model: DialogueTransformer, options: GenerationOptions, *, sources: int = 32, source_tokens: int = 64
) -> TurnCost:
    """Measures whole replies to random sources, graphed and eager by turns. Raises RuntimeError without a GPU."""
    graphed, eager = cuda_engine(model), cuda_engine(model, graphs=False)
    times: dict[CudaEngine, list[float]] = {graphed: [], eager: []}
    for repeat in range(REPEATS + 1):
        for engine, seconds in times.items():
            taken = turn_seconds(engine, options, sources=sources, source_tokens=source_tokens)
            if repeat:  # the first reply is for captures and for libraries that set themselves up
                seconds.append(taken)
    return TurnCost(
        graph_seconds=median(times[graphed]),
        eager_seconds=median(times[eager]),
        turn_bytes=turn_bytes(graphed.weights, options, sources=sources, source_tokens=source_tokens),
        bytes_per_second=copying_speed(graphed.device),
    )


@torch.inference_mode()
def turn_seconds(engine: CudaEngine, options: GenerationOptions, *, sources: int, source_tokens: int) -> float:
    """The mean turn of one reply of the greatest length to each of some random sources; waits for the device."""
    config, device, dice = engine.weights.model.config, engine.device, random.Random(0)
    ids = TokenIds(start=config.decoder_start_id, eos=config.eos_id, pad=config.pad_id)
    rules = Rules.of(options, ids, device)
    source = [[dice.randrange(config.vocab_size) for _ in range(source_tokens)] for _ in range(sources)]
    state = engine.encode(*padded(source, ids.pad, device))
    beams, state = turn(engine, state, begin([0] * sources, options, ids, device), rules, first=True)
    settled(device)
    began = time.perf_counter()
    for _ in range(options.max_new_tokens - 1):
        beams, state = engine.turn(state, beams, rules)
    settled(device)
    return (time.perf_counter() - began) / (options.max_new_tokens - 1)


def turn_bytes(weights: CudaWeights, options: GenerationOptions, *, sources: int, source_tokens: int) -> int:
    """What an average turn of a reply must read and write at least: weights, keys and values without their padding,
    and the logits once."""
    config, beams = weights.model.config, options.num_beams
    embedding = weights.model.model.shared.weight
    read = [embedding, *(values for layer in weights.layers for values in layer.parameters())]
    slots = source_tokens + beams * options.max_new_tokens // 2
    keys_values = (
        sources * slots * len(weights.layers) * 2 * config.heads * config.head_width * embedding.element_size()
    )
    logits = sources * beams * config.vocab_size * torch.float32.itemsize
    return sum(values.nbytes for values in read) + keys_values + logits


def copying_speed(device: torch.device, size: int = COPIED_BYTES) -> float:
    """Bytes read and written a second, of a large copy on the device."""
    there, back = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
    times = []
    for _ in range(REPEATS):
        settled(device)
        began = time.perf_counter()
        back.copy_(there)
        settled(device)
        times.append(time.perf_counter() - began)
    return 2 * size / min(times)


def settled(device: torch.device) -> None:
    """Waits until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
