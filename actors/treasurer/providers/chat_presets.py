"""Who speaks the chat-completions interface: where each is, which variable holds its key, and how it speaks."""

from typing import NamedTuple

from actors.treasurer.providers.chat_request import Dialect, Shape


class Preset(NamedTuple):
    """One provider: where it is, which variable holds its key, and how it speaks."""

    name: str
    address: str
    address_variable: str
    key_variable: str
    dialect: Dialect
    key_needed: bool = True
    checked_at: str = "models"
    """What a wrong key cannot read."""


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "openai",
            "https://api.openai.com/v1",
            "OPENAI_BASE_URL",
            "OPENAI_API_KEY",
            Dialect(Shape(limit="max_completion_tokens"), efforts=r"o\d|gpt-(?:[5-9]|\d\d)(?!.*chat)"),
        ),
        Preset(
            "deepseek",
            "https://api.deepseek.com",
            "DEEPSEEK_BASE_URL",
            "DEEPSEEK_API_KEY",
            Dialect(Shape(structured="json_object"), remembers=False),
        ),
        Preset(
            "gemini",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GEMINI_BASE_URL",
            "GEMINI_API_KEY",
            Dialect(efforts=r"gemini-(?:2\.5|[3-9])", signs=True),
        ),
        Preset(
            "openrouter",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_BASE_URL",
            "OPENROUTER_API_KEY",
            Dialect(),
            checked_at="key",
        ),
        Preset("custom", "", "WITAN_OPENAI_BASE_URL", "WITAN_OPENAI_API_KEY", Dialect(), key_needed=False),
    )
}
