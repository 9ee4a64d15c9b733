"""Drawing tokens: which may be drawn, and the noise that decides.

The noise is a function of the request's seed, the step, the beam and the token, and of nothing else, so that a reply
depends neither on its neighbours nor on when it was admitted. It is Gumbel's: the greatest sums of log-probability and
noise are draws without replacement from the distribution (Kool et al. 2019, arXiv:1903.06059).
"""

import torch
from torch import Tensor

from dialogue_predictor.decoding.options import GenerationOptions

IMPOSSIBLE = float("-inf")


def warped(log_probs: Tensor, options: GenerationOptions) -> Tensor:
    """Temperature, top-k, top-p, in Hugging Face's order → scores [R, V], not normalised again.

    With beams at least two tokens are kept, so that one of them is not the end.
    """
    kept = 1 if options.num_beams == 1 else 2
    vocabulary = log_probs.shape[1]
    if options.temperature != 1.0:
        log_probs = log_probs / options.temperature
    if 0 < options.top_k < vocabulary:
        last = log_probs.topk(max(options.top_k, kept)).values[:, -1:]
        log_probs = log_probs.masked_fill(log_probs < last, IMPOSSIBLE)
    if options.top_p < 1.0:
        ascending, order = log_probs.sort()
        unlikely = ascending.softmax(dim=1).cumsum(dim=1) <= 1 - options.top_p
        unlikely[:, vocabulary - kept :] = False
        log_probs = log_probs.masked_fill(unlikely.scatter(1, order, unlikely), IMPOSSIBLE)
    return log_probs


def gumbel(seeds: Tensor, steps: Tensor, beams: Tensor, vocabulary: int) -> Tensor:
    """Noise [R, V] of R beams, given their source's seed, its step and the beam's number, each [R]."""
    key = mixed_64(mixed_64(mixed_64(seeds) + steps) + beams)
    first, second = key.to(torch.int32), (key >> 32).to(torch.int32)
    tokens = torch.arange(vocabulary, dtype=torch.int32, device=seeds.device)
    bits = mixed_32(tokens * signed(0x9E3779B1, 32) ^ first[:, None])
    bits = mixed_32(bits.add_(second[:, None]))
    uniform = ((bits >> 9) & 0x7FFFFF).to(torch.float32).add_(0.5).mul_(2.0**-23)  # in (0, 1), and exact
    return uniform.log_().neg_().log_().neg_()


def mixed_64(values: Tensor) -> Tensor:
    """The next number after each of a splitmix64 generator (Steele et al. 2014); int64, wrapping around."""
    values = values + signed(0x9E3779B97F4A7C15, 64)
    values = (values ^ ((values >> 30) & (1 << 34) - 1)) * signed(0xBF58476D1CE4E5B9, 64)
    values = (values ^ ((values >> 27) & (1 << 37) - 1)) * signed(0x94D049BB133111EB, 64)
    return values ^ ((values >> 31) & (1 << 33) - 1)


def mixed_32(values: Tensor) -> Tensor:
    """MurmurHash3's finaliser on int32, wrapping around, in place."""
    values ^= (values >> 16) & 0xFFFF
    values *= signed(0x85EBCA6B, 32)
    values ^= (values >> 13) & 0x7FFFF
    values *= signed(0xC2B2AE35, 32)
    values ^= (values >> 16) & 0xFFFF
    return values


def signed(value: int, bits: int) -> int:
    """The same bits as two's complement, as torch wants its integers."""
    return value - (1 << bits) if value >> (bits - 1) else value
