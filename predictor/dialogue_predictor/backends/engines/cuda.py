"""Decoding on an NVIDIA GPU, where a step is bound by starting kernels first and by reading weights next.

So there are few kernels (joint projections, fused attention), fixed shapes and no question back to the host, and
after its first turns a whole turn of the search is one CUDA graph (`cuda_turn`). Batches are padded to a power of
two of sources, sources to one of tokens, caches to one of slots: each combination is captured once per set of options.
bf16 throughout, with logits in fp32, because beam search compares sums of log-probabilities.

The same code runs on a CPU, in any precision and without graphs, which is how most of its tests run.

Guarantee: a source's numbers do not depend on what its neighbours say. They depend on the padded shape of its batch by
rounding only, as another shape may mean another matrix kernel.
"""

import torch

from dialogue_predictor.backends.engines.cuda_model import BranchingModel, CudaModel
from dialogue_predictor.backends.engines.cuda_state import LEAST_SLOTS, CudaState, bucket
from dialogue_predictor.backends.engines.cuda_turn import EAGER_TURNS, GraphRecorder, Recorder, StaticTurns
from dialogue_predictor.backends.engines.cuda_weights import packed
from dialogue_predictor.decoding.beam import BeamState, begin
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.rules import Rules
from dialogue_predictor.decoding.turn import turn
from dialogue_predictor.model.transformer import DialogueTransformer

BUFFERS_BYTES = 4 << 30


class CudaEngine(CudaModel):
    """A model that also takes whole turns. One thread at a time."""

    turns_per_look = 2  # a look waits for the device; a cancelled source stays for no more turns than these

    def __init__(
        self,
        model: DialogueTransformer,
        *,
        device: torch.device,
        precision: torch.dtype = torch.bfloat16,
        record: Recorder | None = None,
        buffers_bytes: int = BUFFERS_BYTES,
    ) -> None:
        """Copies the model to the device. Turns are replayed as `record` records them, without it computed anew.

        At most `buffers_bytes` are kept for batches that are not there at present.
        """
        super().__init__(packed(model, device, precision))
        self._branching = BranchingModel(self.weights)
        self.turns = StaticTurns(record, buffers_bytes)

    def rows(self, sources: int) -> int:
        """How many sources fit where these do, at no more cost."""
        return bucket(sources)

    @torch.inference_mode()
    def turn(self, state: CudaState, beams: BeamState, rules: Rules) -> tuple[BeamState, CudaState]:
        """`decoding.turn.turn` in buffers that stay where they are, and as a graph where there are graphs.

        Uses up both the state and the beams it is given; those it returns are good until the next turn.
        """
        options = rules.options
        slots = min(state.reach + options.num_beams, options.num_beams * options.max_new_tokens)
        return self.turns.take(
            (options, rules.ids),
            lambda state, beams: turn(self._branching, state, beams, rules),
            state.with_slots(slots),
            beams,
        )

    @torch.inference_mode()
    def warm_up(self, options: GenerationOptions, ids: TokenIds, *, sources: int, source_tokens: int) -> None:
        """Records the turns of so many sources of up to so many tokens, for which they would else wait on their way."""
        rules = Rules.of(options, ids, self.device)
        source = torch.full((sources, source_tokens), ids.eos, device=self.device)
        state = self.encode(source, torch.ones_like(source, dtype=torch.bool))
        beams, state = turn(self, state, begin([0] * sources, options, ids, self.device), rules, first=True)
        slots = LEAST_SLOTS
        while slots <= bucket(options.num_beams * options.max_new_tokens, LEAST_SLOTS):
            state = state.with_slots(slots)
            for _ in range(EAGER_TURNS + 1):
                beams, state = self.turn(state, beams, rules)
            slots *= 2


def cuda_engine(model: DialogueTransformer, *, graphs: bool = True) -> CudaEngine:
    """The engine on this machine's GPU, in bf16. Raises RuntimeError where there is none."""
    if not torch.cuda.is_available():
        raise RuntimeError("device must be cpu: this machine has no NVIDIA GPU, or its driver is not visible here")
    return CudaEngine(model, device=torch.device("cuda"), record=GraphRecorder() if graphs else None)
