"""Of which family a model is: those that were made by the same people think alike and like what they say alike."""

import re

MARKS = (
    ("claude", r"claude|sonnet|opus|haiku"),
    ("gpt", r"gpt|chatgpt|codex|o\d"),
    ("gemini", r"gemini"),
    ("gemma", r"gemma|codegemma"),
    ("deepseek", r"deepseek"),
    ("qwen", r"qwen|codeqwen|qwq|qvq"),
    ("llama", r"llama|codellama|tinyllama"),
    ("mistral", r"mistral|ministral|mixtral|codestral|devstral|magistral|pixtral|open-mistral"),
    ("grok", r"grok"),
    ("command", r"command|c4ai|aya"),
    ("glm", r"glm|chatglm|codegeex"),
)
"""What a name begins with, or one of its words: `qwen3-coder` and `hermes-3-llama-3.1` say whose they are."""
MAKERS = {
    "anthropic": "claude",
    "claude": "claude",
    "openai": "gpt",
    "codex": "gpt",
    "azure": "gpt",
    "gemini": "gemini",
    "google": "gemini",
    "deepseek": "deepseek",
    "deepseek-ai": "deepseek",
    "qwen": "qwen",
    "alibaba": "qwen",
    "meta": "llama",
    "meta-llama": "llama",
    "mistral": "mistral",
    "mistralai": "mistral",
    "x-ai": "grok",
    "xai": "grok",
    "cohere": "command",
    "z-ai": "glm",
    "zhipu": "glm",
    "thudm": "glm",
}
"""Who makes models of one family; not those who only run what others made."""
_marks = [(family, re.compile(rf"(?<![a-z0-9])(?:{names})(?![a-z])")) for family, names in MARKS]
_word = re.compile(r"[a-z]+")


def family_of(model: str) -> str:
    """The family of `provider/model`, or of `provider/maker/model`: by its name, by its maker, or a name of its own."""
    *before, name = model.lower().split("/")
    found = [(mark.start(), family) for family, pattern in _marks if (mark := pattern.search(name))]
    if found:
        return min(found)[1]
    for maker in reversed(before):
        if maker in MAKERS:
            return MAKERS[maker]
    word = _word.search(name) or _word.search(model.lower())
    return word[0] if word else model
