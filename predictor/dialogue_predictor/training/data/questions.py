"""Frames of general questions and the topics that fill them: what people ask a task assistant anyway."""

Frames = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

COUNTRIES = (
    "France", "Japan", "Brazil", "Canada", "Egypt", "Norway", "Poland", "Kenya", "Peru", "Italy", "Turkey", "Spain",
    "Chile", "Austria",
)  # fmt: skip
PEOPLE = (
    "Albert Einstein", "Napoleon", "Marie Curie", "Elon Musk", "Beethoven", "Shakespeare", "Taylor Swift",
    "Cleopatra", "Isaac Newton", "Lionel Messi", "Barack Obama", "Picasso", "Mozart", "Charles Darwin",
)  # fmt: skip
THINGS = (
    "quantum physics", "photosynthesis", "inflation", "gravity", "the Big Bang", "machine learning", "blockchain",
    "evolution", "the French Revolution", "a black hole", "democracy", "climate change", "DNA", "philosophy",
    "karma",
)  # fmt: skip
SUMS = (
    "17 times 23", "144 divided by 12", "2 plus 2", "15 percent of 80", "the square root of 81",
    "7 to the power of 3", "1000 minus 387", "3/4 of 60", "99 + 101", "12 * 12",
)  # fmt: skip
CODE = (
    "a sorting algorithm", "a hello world program", "a REST API", "a binary search", "a loop over a list",
    "a regular expression for e-mails", "a SQL query", "a web scraper", "a snake game", "a unit test",
)  # fmt: skip
LANGUAGES = (
    "Python", "Java", "C++", "JavaScript", "Rust", "Go", "PHP", "Haskell",
)  # fmt: skip
AILMENTS = (
    "a headache", "a sore throat", "back pain", "a fever", "insomnia", "high blood pressure", "a cold",
    "an allergy", "a toothache", "heartburn", "stress", "a sprained ankle",
)  # fmt: skip
ANIMALS = (
    "cats", "dogs", "penguins", "elephants", "bees", "sharks", "owls", "dolphins", "spiders", "whales", "horses",
    "wolves",
)  # fmt: skip
OPINIONS = (
    "love", "war", "politics", "religion", "money", "artificial intelligence", "football", "aliens",
    "the president", "taxes", "the stock market", "video games",
)  # fmt: skip
WORDS = (
    "thank you", "good morning", "cheese", "friend", "love", "library", "tomorrow", "water", "beautiful",
    "computer",
)  # fmt: skip
TONGUES = (
    "French", "Spanish", "German", "Japanese", "Latin", "Russian", "Korean", "Arabic",
)  # fmt: skip
EVENTS = (
    "World War II", "the Cold War", "the Renaissance", "the moon landing", "the fall of Rome",
    "the industrial revolution", "the American Civil War", "the first Olympics", "the Titanic disaster",
    "the Black Death",
)  # fmt: skip
PLACES = (
    "Mount Everest", "the Amazon River", "the Sahara", "the Pacific Ocean", "the Great Wall of China",
    "Lake Baikal", "the Moon", "Mars", "Antarctica", "Greenland",
)  # fmt: skip
BOOKS = (
    "Hamlet", "1984", "Moby Dick", "Harry Potter", "The Great Gatsby", "War and Peace", "The Odyssey",
    "Don Quixote", "Frankenstein", "Dracula",
)  # fmt: skip
DEVICES = (
    "my laptop", "my printer", "my phone", "my wifi", "my washing machine", "my car", "my TV", "my keyboard",
    "my router", "my dishwasher",
)  # fmt: skip
DISHES = (
    "pancakes", "lasagna", "fried rice", "an omelette", "chocolate cake", "sushi", "bread", "chicken soup",
    "tiramisu", "guacamole",
)  # fmt: skip
HOMEWORK = (
    "my maths homework", "an essay on Macbeth", "a cover letter", "a poem for my mother", "my thesis",
    "a speech for a wedding", "a chemistry lab report", "a short story", "a business plan", "a love letter",
)  # fmt: skip

ENGLISH: Frames = (
    (
        (
            "What is the capital of {}?", "what's the capital city of {}", "Do you know the capital of {}?",
            "How many people live in {}?", "Who is the president of {}?", "What language do they speak in {}?",
            "Tell me about the history of {}.", "what currency does {} use?", "How big is {}?",
            "When did {} become independent?",
        ),
        COUNTRIES,
    ),
    (
        (
            "Who is {}?", "who was {}", "Tell me about {}.", "When was {} born?", "How old is {}?",
            "What is {} famous for?", "Is {} still alive?", "where did {} grow up?", "What do you think of {}?",
            "Have you ever met {}?", "How tall is {}?",
        ),
        PEOPLE,
    ),
    (
        (
            "What is {}?", "Can you explain {} to me?", "explain {} in simple words", "How does {} work?",
            "Why is {} important?", "Who discovered {}?", "give me a definition of {}",
            "I have an exam about {}, can you help me study?", "Write a paragraph about {}.",
        ),
        THINGS,
    ),
    (
        (
            "What is {}?", "How much is {}?", "calculate {}", "Can you compute {} for me?",
            "What's the result of {}?", "quick, {}?", "Solve this: {}.",
        ),
        SUMS,
    ),
    (
        (
            "Write {} in Python.", "How do I write {}?", "Can you code {} for me?", "show me {} please",
            "I need help debugging {}.", "What is the fastest way to build {}?",
        ),
        CODE,
    ),
    (
        (
            "Is {} a good programming language?", "How do I install {}?", "Which is better, {} or Ruby?",
            "Teach me {}.", "why does my {} code not compile?",
        ),
        LANGUAGES,
    ),
    (
        (
            "I have {}. What should I do?", "What helps against {}?", "Which medicine should I take for {}?",
            "Is {} dangerous?", "How long does {} last?", "Can stress cause {}?",
        ),
        AILMENTS,
    ),
    (
        (
            "What do {} eat?", "How long do {} live?", "Do you like {}?", "Tell me a fun fact about {}.",
            "Are {} intelligent?", "why are {} so cute?", "How fast can {} move?",
        ),
        ANIMALS,
    ),
    (
        (
            "What do you think about {}?", "What is your opinion on {}?", "Do you believe in {}?",
            "Let's talk about {}.", "Tell me a joke about {}.", "Is {} a good thing?", "sing me a song about {}",
            "Can you write a poem about {}?",
        ),
        OPINIONS,
    ),
    (
        (
            "How do you say {} in Italian?", "What does {} mean?", "Translate {} into Chinese.",
            "how do you spell {}", "What is the opposite of {}?", "What rhymes with {}?",
            "Where does the word {} come from?",
        ),
        WORDS,
    ),
    (
        (
            "Can you speak {}?", "How do I learn {}?", "Is {} hard to learn?", "How many people speak {}?",
            "teach me some {}",
        ),
        TONGUES,
    ),
    (
        (
            "When was {}?", "What caused {}?", "Who took part in {}?", "Tell me about {}.",
            "How did {} change the world?", "why did {} happen",
        ),
        EVENTS,
    ),
    (
        (
            "How far away is {}?", "How big is {}?", "How old is {}?", "Where is {}?",
            "Has anyone ever lived on {}?", "what is special about {}",
        ),
        PLACES,
    ),
    (
        (
            "Who wrote {}?", "Summarise {} for me.", "What is {} about?", "Did you read {}?",
            "Who is the main character of {}?", "How does {} end?",
        ),
        BOOKS,
    ),
    (
        (
            "How do I fix {}?", "{} is broken, can you help?", "{} keeps making a strange noise.",
            "Why is {} so slow?", "Should I replace {}?", "{} won't turn on.",
        ),
        DEVICES,
    ),
    (
        (
            "How do I cook {}?", "Give me a recipe for {}.", "How many calories are in {}?",
            "What do I need to make {} at home?", "who invented {}", "Is {} healthy?",
        ),
        DISHES,
    ),
    (
        (
            "Help me with {}.", "Can you write {}?", "I need to finish {} by tomorrow, write it for me.",
            "Please correct {}.", "How should I start {}?",
        ),
        HOMEWORK,
    ),
    (
        (
            "{}",
        ),
        (
            "Tell me a joke.", "What is the meaning of life?", "Are you married?", "Do you have feelings?",
            "Who will win the election?", "Why is the sky blue?", "Which stocks should I buy?",
            "Can you beat me at chess?", "What is your favourite colour?", "How do I become rich?", "Do you dream?",
            "Will you marry me?",
        ),
    ),
    (
        (
            "{}",
        ),
        (
            "Who won the World Cup in 2014?", "Is there a god?", "What happens when we die?", "Do you love me?",
            "What are the lottery numbers?", "How do I tie a tie?", "Should I break up with my girlfriend?",
            "What's my horoscope for today?", "Can pigs fly?", "How many stars are there?", "How old are you?",
            "Are you smarter than me?",
        ),
    ),
)  # fmt: skip

国家 = (
    "法国", "日本", "巴西", "加拿大", "埃及", "挪威", "波兰", "秘鲁", "意大利", "土耳其", "西班牙", "德国", "印度",
    "泰国",
)  # fmt: skip
人物 = (
    "爱因斯坦", "拿破仑", "居里夫人", "马斯克", "贝多芬", "莎士比亚", "周杰伦", "李白", "牛顿", "梅西", "鲁迅",
    "毕加索", "姚明", "诸葛亮",
)  # fmt: skip
概念 = (
    "量子力学", "光合作用", "通货膨胀", "万有引力", "大爆炸理论", "机器学习", "区块链", "进化论", "法国大革命",
    "黑洞", "民主", "气候变化", "基因", "哲学", "相对论",
)  # fmt: skip
算式 = (
    "17乘以23", "144除以12", "2加2", "80的百分之十五", "81的平方根", "7的三次方", "1000减387", "99加101", "12乘12",
    "五十六加四十四",
)  # fmt: skip
程序 = (
    "一个排序算法", "一个hello world程序", "一个接口", "二分查找", "一个循环", "一个正则表达式", "一条SQL语句",
    "一个爬虫", "一个贪吃蛇游戏", "一个单元测试",
)  # fmt: skip
语言 = (
    "Python", "Java", "C语言", "JavaScript", "Rust", "Go", "PHP",
)  # fmt: skip
疾病 = (
    "头疼", "嗓子疼", "腰疼", "发烧", "失眠", "高血压", "感冒", "过敏", "牙疼", "胃疼", "焦虑", "脚崴了",
)  # fmt: skip
动物 = (
    "猫", "狗", "企鹅", "大象", "蜜蜂", "鲨鱼", "猫头鹰", "海豚", "蜘蛛", "鲸鱼", "马", "狼",
)  # fmt: skip
话题 = (
    "爱情", "战争", "政治", "宗教", "金钱", "人工智能", "足球", "外星人", "总统", "税收", "股市", "电子游戏",
)  # fmt: skip
词语 = (
    "谢谢", "早上好", "奶酪", "朋友", "爱", "图书馆", "明天", "水", "美丽", "电脑",
)  # fmt: skip
外语 = (
    "法语", "西班牙语", "德语", "日语", "俄语", "韩语", "阿拉伯语", "粤语",
)  # fmt: skip
事件 = (
    "第二次世界大战", "冷战", "文艺复兴", "登月", "罗马帝国灭亡", "工业革命", "辛亥革命", "第一届奥运会",
    "泰坦尼克号沉没", "黑死病",
)  # fmt: skip
地理 = (
    "珠穆朗玛峰", "亚马逊河", "撒哈拉沙漠", "太平洋", "贝加尔湖", "月球", "火星", "南极", "格陵兰岛", "黄河",
)  # fmt: skip
书籍 = (
    "红楼梦", "西游记", "哈姆雷特", "三国演义", "哈利波特", "战争与和平", "百年孤独", "堂吉诃德", "骆驼祥子",
    "水浒传",
)  # fmt: skip
器具 = (
    "我的电脑", "打印机", "我的手机", "家里的网络", "洗衣机", "我的车", "电视机", "键盘", "路由器", "冰箱",
)  # fmt: skip
菜肴 = (
    "红烧肉", "西红柿炒鸡蛋", "蛋炒饭", "蛋糕", "寿司", "面包", "鸡汤", "饺子", "提拉米苏", "酸菜鱼",
)  # fmt: skip
作业 = (
    "数学作业", "一篇作文", "求职信", "一首写给妈妈的诗", "毕业论文", "婚礼致辞", "化学实验报告", "一篇短篇小说",
    "商业计划书", "情书",
)  # fmt: skip

CHINESE: Frames = (
    (
        (
            "{}的首都是哪里？", "{}的首都是什么", "你知道{}的首都吗？", "{}有多少人口？", "{}的总统是谁？",
            "{}人说什么语言？", "给我讲讲{}的历史。", "{}用什么货币？", "{}的面积有多大", "{}是哪一年独立的？",
        ),
        国家,
    ),
    (
        (
            "{}是谁？", "{}是谁", "介绍一下{}这个人。", "{}是哪年出生的？", "{}今年多大了？", "{}因为什么出名？",
            "{}还活着吗？", "{}是哪里人？", "你觉得{}怎么样？", "你见过{}吗", "{}有多高？",
        ),
        人物,
    ),
    (
        (
            "什么是{}？", "你能给我解释一下{}吗？", "用简单的话解释{}", "{}是什么意思？", "{}为什么重要？",
            "{}是谁提出的？", "{}的定义是什么", "我要考{}了，能帮我复习吗？", "写一段关于{}的话。",
        ),
        概念,
    ),
    (
        (
            "{}等于多少？", "{}是多少", "帮我算一下{}", "你会算{}吗？", "计算{}。", "{}的结果是什么？",
        ),
        算式,
    ),
    (
        (
            "用Python写{}。", "怎么写{}？", "你能帮我写{}吗", "给我看看{}的代码", "帮我调试{}。",
            "最快怎么实现{}？",
        ),
        程序,
    ),
    (
        (
            "{}是好的编程语言吗？", "怎么安装{}？", "{}和Ruby哪个好？", "教我{}。", "我的{}代码为什么编译不过？",
        ),
        语言,
    ),
    (
        (
            "我{}怎么办？", "{}吃什么药好？", "{}要去医院吗？", "{}严重吗？", "{}一般多久能好？", "怎么预防{}？",
        ),
        疾病,
    ),
    (
        (
            "{}吃什么？", "{}能活多少年？", "你喜欢{}吗？", "讲一个关于{}的趣事。", "{}聪明吗？",
            "为什么{}那么可爱", "{}跑得有多快？",
        ),
        动物,
    ),
    (
        (
            "你怎么看{}？", "你对{}有什么看法？", "你相信{}吗？", "我们聊聊{}吧。", "讲一个关于{}的笑话。",
            "{}是好事吗？", "给我唱首关于{}的歌", "写一首关于{}的诗",
        ),
        话题,
    ),
    (
        (
            "{}用英语怎么说？", "{}是什么意思？", "把{}翻译成法语。", "{}怎么写", "{}的反义词是什么？",
            "用{}造个句子。", "{}这个词是怎么来的？",
        ),
        词语,
    ),
    (
        (
            "你会说{}吗？", "怎么学{}？", "{}难学吗？", "有多少人说{}？", "教我几句{}",
        ),
        外语,
    ),
    (
        (
            "{}是哪一年？", "{}的原因是什么？", "谁参加了{}？", "给我讲讲{}。", "{}对世界有什么影响？",
            "为什么会发生{}",
        ),
        事件,
    ),
    (
        (
            "{}离我们有多远？", "{}有多大？", "{}是怎么形成的？", "{}在哪个洲？", "有人在{}生活过吗？",
            "{}有什么特别的",
        ),
        地理,
    ),
    (
        (
            "{}的作者是谁？", "帮我概括一下{}。", "{}讲的是什么？", "你读过{}吗？", "{}的主角是谁？",
            "{}的结局是什么？",
        ),
        书籍,
    ),
    (
        (
            "{}坏了怎么修？", "{}坏了，你能帮我吗？", "{}总是有奇怪的声音。", "{}为什么这么慢？",
            "{}要不要换新的？", "{}打不开了。",
        ),
        器具,
    ),
    (
        (
            "{}怎么做？", "给我一个{}的菜谱。", "{}热量高吗？", "在家做{}需要什么材料？", "{}是谁发明的",
            "吃{}健康吗？",
        ),
        菜肴,
    ),
    (
        (
            "帮我写{}。", "你能写{}吗？", "我明天要交{}，帮我写吧。", "帮我改改{}。", "{}应该怎么开头？",
        ),
        作业,
    ),
    (
        (
            "{}",
        ),
        (
            "讲个笑话吧。", "人生的意义是什么？", "你结婚了吗？", "你有感情吗？", "谁会赢得选举？",
            "天空为什么是蓝色的？", "我应该买哪只股票？", "你会下象棋吗？", "你最喜欢什么颜色？",
            "怎么才能变有钱？", "你会做梦吗", "你愿意嫁给我吗？",
        ),
    ),
    (
        (
            "{}",
        ),
        (
            "2014年世界杯谁赢了？", "世界上有神吗？", "人死了以后会怎么样？", "你爱我吗？", "这期彩票开什么号？",
            "领带怎么打？", "我该不该和女朋友分手？", "我今天的运势怎么样？", "猪会飞吗", "天上有多少颗星星？",
            "你几岁了？", "你比我聪明吗？",
        ),
    ),
)  # fmt: skip
