"""The two bundles that ship: small, whole, named, and on topic in both languages."""

import pytest
import torch

from dialogue_predictor.artifacts.bundle import CONTENT, Bundle, locate, open_bundle
from dialogue_predictor.artifacts.weights import load_model
from dialogue_predictor.decoding.options import GenerationOptions, TokenIds
from dialogue_predictor.decoding.search import decode
from dialogue_predictor.model.incremental import IncrementalModel
from dialogue_predictor.model.transformer import DialogueTransformer
from dialogue_predictor.text.dialogue import Turn
from dialogue_predictor.text.prompt import build_prompt
from dialogue_predictor.text.tokenizer import Tokenizer
from dialogue_predictor.training.data.corpora import CORPORA

MOST_BYTES = 16_000_000
SHIPPED = {"builtin://default": "1.0.0", "builtin://default-1.1.0": "1.1.0"}
QUESTIONS = [
    ("hello", ("hello", "hi", "help", "welcome")),
    ("Thank you, goodbye!", ("welcome", "great day", "nice day", "goodbye", "bye")),
    ("I'm looking for a cheap restaurant in San Jose.", ("restaurant", "food", "cuisine", "eat", "san jose", "city")),
    ("I want to book a flight to New York.", ("fly", "flight", "leav", "depart", "travel", "go", "date", "city")),
    ("Find me a hotel in London.", ("hotel", "stay", "room", "star", "check", "city")),
    ("What is the weather like today?", ("degree", "weather", "rain", "city", "wind", "where", "location")),
    ("你好", ("你好", "您好", "嗨", "欢迎", "帮")),
    ("谢谢！", ("客气", "谢", "愉快", "帮")),
]
KNOWN = [
    ("什刹海 门票 免费\n什刹海 评分 4.6分", "帮我推荐一个免费的景点吧。", "什刹海"),
    ("景山公园 评分 4.7分\n景山公园 门票 2元", "请推荐一个评分4.5分以上的景点。", "景山公园"),
    ("北京饭店 评分 4.7分\n北京饭店 价格 685元", "你好，请帮我推荐一个酒店", "北京饭店"),
    ("全聚德 评分 4.8分\n全聚德 人均消费 182元", "我想找一家评分4.5分以上的餐馆。", "全聚德"),
    ("颐和园 门票 37元", "颐和园门票多少钱？", "37元"),
]


@pytest.fixture(scope="module", params=SHIPPED)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    opened = open_bundle(locate(request.param))
    assert (opened.name, opened.version) == ("default", SHIPPED[request.param])
    return opened


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> DialogueTransformer:
    return load_model(bundle)


@pytest.fixture(scope="module")
def tokenizer(bundle: Bundle) -> Tokenizer:
    return Tokenizer.load(bundle.tokenizer_path)


def reply_of(model: DialogueTransformer, tokenizer: Tokenizer, *turns: Turn) -> str:
    """As the predictor answers by default: four beams over the whole budget."""
    config = model.config
    source = build_prompt(turns, tokenizer, max_turns=12, max_source_tokens=config.max_positions).ids
    ids = TokenIds(config.decoder_start_id, config.eos_id, config.pad_id)
    [outcome] = decode(IncrementalModel(model), [source], GenerationOptions(), ids)
    return tokenizer.decode(outcome.best.tokens)


def test_together_they_are_small_enough_to_ship() -> None:
    assert sum((locate(uri) / name).stat().st_size for uri in SHIPPED for name in CONTENT) <= MOST_BYTES


def test_they_are_two_models_with_the_same_words() -> None:
    first, second = (open_bundle(locate(uri)) for uri in SHIPPED)
    assert first.tokenizer_path.read_bytes() == second.tokenizer_path.read_bytes()
    assert first.weights_path.read_bytes() != second.weights_path.read_bytes()


def test_its_card_names_every_corpus_and_licence(bundle: Bundle) -> None:
    card = (bundle.folder / "card.md").read_text(encoding="utf-8")
    for corpus in CORPORA:
        assert corpus.title in card
        assert corpus.licence in card
    assert "not measured" not in card


def test_its_weights_are_loaded_in_single_precision(model: DialogueTransformer) -> None:
    assert {value.dtype for value in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(("question", "keywords"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
def test_it_answers_on_topic(
    model: DialogueTransformer, tokenizer: Tokenizer, question: str, keywords: tuple[str, ...]
) -> None:
    reply = reply_of(model, tokenizer, Turn("user", question))
    assert any(word in reply.lower() for word in keywords), reply
    chinese = any("\u4e00" <= character <= "\u9fff" for character in question)
    assert chinese == any("\u4e00" <= character <= "\u9fff" for character in reply), reply


@pytest.mark.parametrize(("facts", "question", "known"), KNOWN)
def test_it_says_what_it_is_told(
    model: DialogueTransformer, tokenizer: Tokenizer, facts: str, question: str, known: str
) -> None:
    reply = reply_of(model, tokenizer, Turn("system", facts), Turn("user", question))
    assert known in reply, reply


@pytest.mark.parametrize("question", ["Who won the world cup in 2014?", "量子力学是什么？"])
def test_it_says_that_it_does_not_know(model: DialogueTransformer, tokenizer: Tokenizer, question: str) -> None:
    reply = reply_of(model, tokenizer, Turn("user", question))
    assert any(word in reply for word in ("don't know", "can't", "cannot", "回答不了", "不清楚", "不知道")), reply


def test_it_keeps_to_the_dialogue(model: DialogueTransformer, tokenizer: Tokenizer) -> None:
    reply = reply_of(
        model,
        tokenizer,
        Turn("user", "I need a hotel in Paris."),
        Turn("assistant", "How many days will you stay?"),
        Turn("user", "Three days, from March 1st."),
    ).lower()
    assert any(word in reply for word in ("hotel", "room", "stay", "night", "star", "paris", "confirm", "book"))
