"""Which turns reach the model, in which order, and what is said about those that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_predictor.artifacts.bundle import TOKENIZER, locate
from dialogue_predictor.text.dialogue import ROLES, Turn
from dialogue_predictor.text.prompt import build_prompt
from dialogue_predictor.text.special import EOS_ID, FACT_ID, ROLE_IDS
from dialogue_predictor.text.tokenizer import Tokenizer

TOKENS = Tokenizer.load(locate("builtin://default") / TOKENIZER)
ASK, ANSWER, AGAIN = Turn("user", "a table for 2"), Turn("assistant", "where?"), Turn("user", "in San Jose")
TURNS = st.lists(st.builds(Turn, st.sampled_from(ROLES), st.text(st.characters(exclude_categories=["Cs"]))), min_size=1)


def segment(turn: Turn) -> list[int]:
    return [ROLE_IDS[turn.role], *TOKENS.encode(turn.text)]


def test_turns_go_back_in_time_each_behind_its_role_and_the_end_closes() -> None:
    prompt = build_prompt([ASK, ANSWER, AGAIN], TOKENS, max_turns=12, max_source_tokens=128)
    assert list(prompt.ids) == [*segment(AGAIN), *segment(ANSWER), *segment(ASK), EOS_ID]
    assert (prompt.turns_used, prompt.truncated) == (3, False)


def test_the_oldest_turn_is_left_out_first_when_the_budget_is_short() -> None:
    room = len(segment(ANSWER)) + len(segment(AGAIN)) + 1
    prompt = build_prompt([ASK, ANSWER, AGAIN], TOKENS, max_turns=12, max_source_tokens=room)
    assert list(prompt.ids) == [*segment(AGAIN), *segment(ANSWER), EOS_ID]
    assert (prompt.turns_used, prompt.truncated) == (2, True)


def test_a_turn_that_does_not_fit_ends_the_history_even_if_an_older_one_would() -> None:
    long = Turn("assistant", "where? " * 50)
    room = len(segment(ASK)) + len(segment(AGAIN)) + 1
    prompt = build_prompt([ASK, long, AGAIN], TOKENS, max_turns=12, max_source_tokens=room)
    assert list(prompt.ids) == [*segment(AGAIN), EOS_ID]


def test_max_turns_is_a_limit_of_its_own() -> None:
    prompt = build_prompt([ASK, ANSWER, AGAIN], TOKENS, max_turns=1, max_source_tokens=128)
    assert list(prompt.ids) == [*segment(AGAIN), EOS_ID]
    assert (prompt.turns_used, prompt.truncated) == (1, True)


def test_the_newest_turn_keeps_its_end_when_it_is_too_long_itself() -> None:
    newest = Turn("user", "1234567890")
    prompt = build_prompt([ASK, newest], TOKENS, max_turns=12, max_source_tokens=6)
    assert prompt.ids[0] == ROLE_IDS["user"]
    assert TOKENS.decode(prompt.ids) == "7890"
    assert (prompt.turns_used, prompt.truncated) == (1, True)


@given(TURNS, st.integers(1, 5), st.integers(3, 60))
def test_no_prompt_exceeds_its_budget_or_hides_a_cut(turns: list[Turn], most: int, budget: int) -> None:
    prompt = build_prompt(turns, TOKENS, most, budget)
    spoken = [segment(turn) for turn in reversed(turns) if turn.role != "system"]
    lines = [line for turn in turns if turn.role == "system" for line in turn.text.splitlines() if line.strip()]
    facts = [token for line in lines for token in (FACT_ID, *TOKENS.encode(line))]
    whole = [*(spoken[0] if spoken else ()), *facts, *(token for one in spoken[1:] for token in one)]
    assert len(prompt.ids) <= budget
    assert prompt.turns_used <= min(most, len(spoken)) + len(turns) - len(spoken)
    assert prompt.ids[-1] == EOS_ID
    assert prompt.truncated == (list(prompt.ids[:-1]) != whole)


@pytest.mark.parametrize(("turns", "most", "budget"), [([], 1, 9), ([ASK], 0, 9), ([ASK], 1, 2)])
def test_a_prompt_without_room_or_turns_is_refused(turns: list[Turn], most: int, budget: int) -> None:
    with pytest.raises(ValueError, match="a prompt needs"):
        build_prompt(turns, TOKENS, most, budget)


def test_a_system_turn_is_facts_behind_the_newest_turn_wherever_it_stands() -> None:
    known = Turn("system", "Sino is in San Jose\n\n  \nBix is not")
    facts = [token for line in ("Sino is in San Jose", "Bix is not") for token in (FACT_ID, *TOKENS.encode(line))]
    for turns in ([known, ASK, ANSWER, AGAIN], [ASK, ANSWER, AGAIN, known]):
        prompt = build_prompt(turns, TOKENS, max_turns=3, max_source_tokens=128)
        assert list(prompt.ids) == [*segment(AGAIN), *facts, *segment(ANSWER), *segment(ASK), EOS_ID]
        assert (prompt.turns_used, prompt.truncated) == (4, False)


def test_facts_have_half_of_the_budget_and_are_left_out_whole() -> None:
    lines = [f"fact number {at} is about a table" for at in range(6)]
    size = 1 + len(TOKENS.encode(lines[0]))
    prompt = build_prompt([Turn("system", "\n".join(lines)), AGAIN], TOKENS, 12, max_source_tokens=5 * size + 1)
    assert prompt.ids.count(FACT_ID) == 2
    assert len(prompt.ids) == len(segment(AGAIN)) + 2 * size + 1
    assert (prompt.turns_used, prompt.truncated) == (2, True)


def test_the_first_fact_keeps_its_beginning_when_it_is_too_long_itself() -> None:
    prompt = build_prompt([Turn("system", "1234567890"), AGAIN], TOKENS, 12, max_source_tokens=11)
    at = prompt.ids.index(FACT_ID)
    assert TOKENS.decode(prompt.ids[at + 1 :]) == "1234"
    assert TOKENS.decode(prompt.ids[:at]) == AGAIN.text[-len(TOKENS.decode(prompt.ids[:at])) :]
    assert prompt.truncated
