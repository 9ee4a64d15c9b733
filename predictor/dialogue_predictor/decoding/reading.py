"""Reading final hypotheses out of the search's tensors."""

from dialogue_predictor.decoding.beam import ABSENT, BeamState, keep
from dialogue_predictor.decoding.options import GenerationOptions
from dialogue_predictor.decoding.outcome import Hypothesis, Outcome


def outcome_of(beams: BeamState, source: int, options: GenerationOptions, eos: int) -> Outcome:
    """A source's finished hypotheses; an empty one should the constraints have left none possible.

    Where fewer continuations than beams were possible, as after a forced token, the remaining beams are
    copies that only fill the shape; they carry an absent beam's score and are left out.
    """
    own = keep(beams, slice(source * options.beam_groups, (source + 1) * options.beam_groups))
    slots = zip(
        own.is_finished.flatten().tolist(),
        own.finished_tokens.flatten(0, 1).tolist(),
        own.finished_lengths.flatten().tolist(),
        own.finished_scores.flatten().tolist(),
        strict=True,
    )
    found = [
        hypothesis(tokens[1 : 1 + length], score, eos)
        for there, tokens, length, score in slots
        if there and score * length**options.length_penalty > ABSENT / 2
    ]
    best_first = sorted(found, key=lambda each: each.score, reverse=True)
    return Outcome(tuple(best_first) or (Hypothesis((), float("-inf"), complete=False),))


def hypothesis(tokens: list[int], score: float, eos: int) -> Hypothesis:
    complete = tokens[-1] == eos
    return Hypothesis(tuple(tokens[:-1] if complete else tokens), score, complete)
