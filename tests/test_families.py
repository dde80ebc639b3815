"""A family is told from a name as it is given by whoever runs the model."""

import pytest

from actors.treasurer.families import family_of


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("anthropic/claude-sonnet-5", "claude"),
        ("claude/sonnet", "claude"),
        ("claude/default", "claude"),
        ("openrouter/anthropic/claude-3.5-haiku:beta", "claude"),
        ("openai/gpt-4o", "gpt"),
        ("openai/chatgpt-4o-latest", "gpt"),
        ("openai/o3-mini", "gpt"),
        ("openai/ft:gpt-4o-mini:acme::a1", "gpt"),
        ("codex/default", "gpt"),
        ("ollama/gpt-oss:20b", "gpt"),
        ("openrouter/openai/o1", "gpt"),
        ("gemini/gemini-3-pro", "gemini"),
        ("openrouter/google/gemini-2.5-flash", "gemini"),
        ("openrouter/google/gemma-3-27b-it", "gemma"),
        ("ollama/codegemma:7b", "gemma"),
        ("deepseek/deepseek-chat", "deepseek"),
        ("ollama/deepseek-r1:32b", "deepseek"),
        ("openrouter/deepseek/deepseek-r1-distill-llama-70b", "deepseek"),
        ("ollama/qwen3-coder:30b", "qwen"),
        ("ollama/QwQ:32b", "qwen"),
        ("ollama/llama3.1", "llama"),
        ("ollama/codellama:13b", "llama"),
        ("openrouter/meta-llama/llama-4-maverick", "llama"),
        ("openrouter/nousresearch/hermes-3-llama-3.1-405b", "llama"),
        ("mistral/mistral-large", "mistral"),
        ("ollama/codestral:22b", "mistral"),
        ("openrouter/mistralai/mixtral-8x7b", "mistral"),
        ("openrouter/mistralai/some-new-one", "mistral"),
        ("xai/grok-4", "grok"),
        ("ollama/phi4:14b", "phi"),
        ("ollama/phi3.5", "phi"),
        ("openrouter/01-ai/yi-34b", "yi"),
        ("custom/7b", "b"),
        ("custom/123", "custom"),
    ],
)
def test_the_family_of_a_model_is_known_by_its_name_or_its_maker(model: str, family: str) -> None:
    assert family_of(model) == family
