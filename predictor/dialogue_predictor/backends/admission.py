"""How many may come in at once, and which of them are encoded together. Plain numbers, no clocks, locks or models."""

from collections.abc import Sequence

from dialogue_predictor.backends.base import GenerationRequest

STEP_SOURCE_TOKENS = 512
ADMISSION_STEPS = 0.5  # what an admission costs, in steps
SAME_SHAPE = 64  # tokens; another admission costs more than so much padding


def cost(request: GenerationRequest) -> int:
    """The tokens a request may come to, its beams counted: what a tenant is charged with."""
    return len(request.source) + request.options.num_beams * request.options.max_new_tokens


def vacancies(decoding: Sequence[int], worker: int, waiting: int, *, most: int, continuous: bool) -> int:
    """How many more sources a worker may take, given how many each worker decodes and how many wait.

    Not more than `most` at once, and not more than an equal share of all there is, so that one worker does not take
    everything while another is between two steps. Not `continuous`: only when the worker decodes nothing.
    """
    own = decoding[worker]
    if own and not continuous:
        return 0
    share = -(-(waiting + sum(decoding)) // len(decoding))
    return max(0, min(most, share) - own)


def worthwhile(waited: int, decoding: int) -> bool:
    """Whether newcomers have waited long enough to hold up those decoding.

    An admission (encoding, joining) takes about half as long as a step, and all of those decoding wait for it. So it is
    put off until the newcomers there is room for have together waited for as many steps: the delay of both sides is then
    at most twice the least possible (Dooly, Goldman and Scott 1998, who ask when to acknowledge packets). A lone
    newcomer waits for at most half as many steps as there are sources decoding; where nothing is decoded nobody waits.
    `waited`: steps since the last admission, each counted for every newcomer that there was room for.
    """
    return waited >= ADMISSION_STEPS * decoding


def fits_step(taken: int, length: int, *, decoding: bool) -> bool:
    """Whether a source of this length may come in before the next step, after `taken` source tokens that do.

    So those decoding never wait for more than `STEP_SOURCE_TOKENS`, or one source, between two steps.
    """
    return not decoding or not taken or taken + length <= STEP_SOURCE_TOKENS


def groups(lengths: Sequence[int]) -> list[list[int]]:
    """Positions of sources that are encoded together, so that at most half of a batch of long ones is padding.

    In a group the longest source has at most twice the tokens of the shortest, or `SAME_SHAPE`.
    """
    found: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if found and lengths[position] <= max(SAME_SHAPE, 2 * lengths[found[-1][0]]):
            found[-1].append(position)
        else:
            found.append([position])
    return found
