"""The two programs: how each is called so that it is a mind and nothing else, what it needs, and how it is read."""

from collections.abc import Callable
from typing import NamedTuple

from actors.treasurer.asking import Model, Prompt
from actors.treasurer.providers.anthropic import MODELS
from actors.treasurer.providers.program_lines import ClaudeLines, CodexLines, Lines
from actors.treasurer.providers.program_words import conversation, rules

RULES = "rules.txt"
"""The file beside the program that holds what `rules` says."""

_CODEX_MODELS = {"gpt-5.5": (400_000, 128_000), "gpt-5.3-codex": (400_000, 128_000)}


class Kind(NamedTuple):
    """One program. `environ` is all that it is given of ours, `keys` are the secrets among it."""

    name: str
    environ: tuple[str, ...]
    keys: tuple[str, ...]
    home: str
    login: str
    install: str
    models: tuple[Model, ...]
    words: Callable[[Prompt], list[str]]
    extra: Callable[[Prompt], dict[str, str]]
    lines: Callable[[Prompt], Lines]
    asked: Callable[[Prompt], str]


def _claude_words(prompt: Prompt) -> list[str]:
    return [
        *("-p", "--output-format", "stream-json", "--verbose", "--include-partial-messages"),
        *("--model", prompt.model, "--effort", prompt.effort, "--max-turns", "1", "--system-prompt-file", RULES),
        *("--tools", "", "--strict-mcp-config", "--setting-sources", "", "--disable-slash-commands"),
        "--no-session-persistence",
    ]


def _codex_words(prompt: Prompt) -> list[str]:
    return [
        *("exec", "--json", "--model", prompt.model, "--sandbox", "read-only", "--disable", "shell_tool"),
        *("-c", 'web_search="disabled"', "-c", f'model_reasoning_effort="{prompt.effort}"'),
        *("--ephemeral", "--skip-git-repo-check", "--ignore-user-config", "--ignore-rules", "--color", "never", "-"),
    ]


def _claude_environ(prompt: Prompt) -> dict[str, str]:
    return {
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(prompt.output_max_tokens),
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


CLAUDE = Kind(
    "claude",
    ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CONFIG_DIR"),
    ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    "CLAUDE_CONFIG_DIR:.claude:.credentials.json",
    "run `claude` once and log in",
    "install Claude Code, so that `claude` is on PATH",
    tuple(model._replace(provider="claude") for model in MODELS),
    _claude_words,
    _claude_environ,
    lambda _: ClaudeLines(),
    conversation,
)
CODEX = Kind(
    "codex",
    ("OPENAI_API_KEY", "CODEX_API_KEY", "OPENAI_BASE_URL", "CODEX_HOME"),
    ("CODEX_API_KEY", "OPENAI_API_KEY"),
    "CODEX_HOME:.codex:auth.json",
    "run `codex login`",
    "install the Codex CLI, so that `codex` is on PATH",
    tuple(Model("codex", name, False, context, output) for name, (context, output) in _CODEX_MODELS.items()),
    _codex_words,
    lambda _: {},
    lambda prompt: CodexLines(prompt.model),
    lambda prompt: f"{rules(prompt)}\n\n{conversation(prompt)}",
)
