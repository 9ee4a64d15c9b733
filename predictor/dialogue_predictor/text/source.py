"""The source that a model reads for a dialogue, whichever style of text the model was trained on."""

from collections.abc import Sequence

from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.prompt import Prompt, build_prompt
from dialogue_predictor.text.style import PlainText
from dialogue_predictor.text.tokenizer import Tokenizer


def source_of(
    turns: Sequence[Turn], tokenizer: Tokenizer, text: PlainText | None, max_turns: int, max_source_tokens: int
) -> Prompt:
    """The prompt for a reply to the last turn: in our own style where `text` is None.

    Raises ValueError on no turns, or a budget without room for text.
    """
    if text is None:
        return build_prompt(turns, tokenizer, max_turns, max_source_tokens)
    return plain_prompt(turns, tokenizer, text, max_turns, max_source_tokens)


def plain_prompt(
    turns: Sequence[Turn], tokenizer: Tokenizer, text: PlainText, max_turns: int, max_source_tokens: int
) -> Prompt:
    """As many of the newest turns as fit whole, oldest first; of a newest turn that does not fit, its end."""
    room = max_source_tokens - len(text.prefix) - len(text.suffix)
    if not turns or room < 1:
        raise ValueError("a prompt needs at least one turn and room for a token of it")
    most = 1 if text.turn_separator is None else min(max_turns, len(turns))
    ids, used = tokenizer.encode(turns[-1].text), 1
    for count in range(2, most + 1):
        # A separator melts into its neighbours' tokens, so that the turns are encoded as one text.
        longer = tokenizer.encode((text.turn_separator or "").join(turn.text for turn in turns[-count:]))
        if len(longer) > room:
            break
        ids, used = longer, count
    kept = ids[max(0, len(ids) - room) :]
    return Prompt((*text.prefix, *kept, *text.suffix), used, len(kept) < len(ids) or used < len(turns))
