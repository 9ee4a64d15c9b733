"""A few dozen exchanges of our own: greetings, thanks, farewells, and what the assistant is for.

Task corpora start in the middle of business and small-talk corpora answer "hello" with a joke; a first impression
deserves better. Each topic pairs any of its openings with any of its answers.
"""

from collections.abc import Iterator

from dialogue_predictor.training.data.dialogues import Dialogue, Language, Utterance

Topic = tuple[tuple[str, ...], tuple[str, ...]]

ENGLISH: dict[str, Topic] = {
    "hello": (
        (
            "hello", "Hello", "Hello!", "hi", "Hi", "Hi!", "hi there", "Hi there!", "hey", "Hey!", "Hello there.",
            "Good morning", "Good morning!", "Good afternoon.", "Good evening", "hello, anyone there?",
        ),
        (
            "Hello! How can I help you today?",
            "Hi! What can I do for you?",
            "Hello! I can help you find a restaurant, a hotel, a flight and more. What do you need?",
        ),
    ),
    "how": (
        ("how are you?", "How are you?", "How are you doing?", "Hello, how are you?", "How is it going?", "what's up"),
        ("I am doing well, thank you. How can I help you?", "I'm fine, thank you! What can I do for you?"),
    ),
    "who": (
        (
            "who are you?", "Who are you?", "What are you?", "what is your name?", "What's your name?",
            "Are you a robot?", "Are you human?", "are you a bot", "Who am I talking to?",
        ),
        (
            "I am a dialogue assistant. I can help you find places to eat, to stay and to visit.",
            "I'm a virtual assistant. How can I help you?",
        ),
    ),
    "what": (
        ("what can you do?", "What can you do?", "What can you help me with?", "help", "Can you help me?", "I need help."),
        (
            "I can help you find restaurants, hotels, flights, movies and events. What are you looking for?",
            "Of course! Are you looking for a restaurant, a hotel, a flight or something else?",
        ),
    ),
    "thanks": (
        (
            "thanks", "Thanks", "Thanks!", "thank you", "Thank you!", "Thank you very much.", "Thanks a lot!",
            "thanks for your help", "Thank you, that is all.", "That's all, thanks.", "ok thanks", "Great, thank you!",
        ),
        ("You're welcome! Is there anything else I can help you with?", "You're welcome. Have a great day!"),
    ),
    "bye": (
        ("bye", "Bye", "Bye!", "goodbye", "Goodbye!", "See you.", "see you later", "Good night", "No, that's all. Bye."),
        ("Goodbye! Have a great day!", "Bye! Have a nice day."),
    ),
}  # fmt: skip

CHINESE: dict[str, Topic] = {
    "hello": (
        (
            "你好", "你好！", "你好。", "您好", "您好！", "嗨", "嗨！", "哈喽", "在吗", "在吗？", "早上好", "早上好！",
            "下午好", "晚上好", "你好啊", "您好，请问有人吗？", "早",
        ),
        (
            "您好！请问有什么可以帮您？",
            "你好，请问有什么可以帮助您的吗？",
            "您好！我可以帮您找餐馆、酒店和景点，请问您需要什么？",
        ),
    ),
    "how": (
        ("你好吗", "你好吗？", "最近怎么样？", "你怎么样", "你今天好吗？", "过得怎么样"),
        ("我很好，谢谢！请问有什么可以帮您？", "挺好的，谢谢您的关心。您需要什么帮助？"),
    ),
    "who": (
        ("你是谁", "你是谁？", "你叫什么名字", "你叫什么名字？", "你是机器人吗？", "你是人吗", "请问你是谁？", "您贵姓？"),
        ("我是一个对话助手，可以帮您查找餐馆、酒店和景点。", "我是您的智能助手，请问有什么可以帮您？"),
    ),
    "what": (
        ("你能做什么", "你能做什么？", "你会什么", "你可以帮我什么？", "帮帮我", "我需要帮助", "能帮我个忙吗？"),
        (
            "我可以帮您推荐餐馆、酒店和景点，也可以查询地址和电话。请问您需要什么？",
            "当然可以，请问您想找餐馆、酒店还是景点？",
        ),
    ),
    "thanks": (
        ("谢谢", "谢谢！", "谢谢你", "谢谢您！", "多谢", "非常感谢", "好的，谢谢", "太感谢了！", "谢了", "没有了，谢谢。"),
        ("不客气，还有什么可以帮您的吗？", "不客气，祝您生活愉快！"),
    ),
    "bye": (
        ("再见", "再见！", "拜拜", "拜拜！", "下次见", "晚安", "没有了，再见。", "那就这样，再见！"),
        ("再见，祝您生活愉快！", "再见，欢迎下次再来！"),
    ),
}  # fmt: skip


def greetings() -> Iterator[Dialogue]:
    """Every opening with every answer of its topic, in both languages."""
    both: tuple[tuple[Language, dict[str, Topic]], ...] = (("en", ENGLISH), ("zh", CHINESE))
    for language, topics in both:
        for topic, (openings, answers) in topics.items():
            for opening in openings:
                for index, answer in enumerate(answers):
                    turns = (Utterance("user", opening), Utterance("assistant", answer))
                    yield Dialogue(f"greetings-{language}-{opening}-{index}", "greetings", language, topic, turns)
