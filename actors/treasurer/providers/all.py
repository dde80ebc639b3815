"""Everybody who can be asked, in one place; an adapter is loaded when this is called and not before."""

from collections.abc import Mapping

from actors.treasurer.asking import Provider


def providers(environ: Mapping[str, str]) -> list[Provider]:
    """One adapter for each provider that Witan knows, those on one's own machine first."""
    from actors.treasurer.providers.anthropic import Anthropic
    from actors.treasurer.providers.chat_presets import PRESETS
    from actors.treasurer.providers.ollama import Ollama
    from actors.treasurer.providers.openai import OpenAI
    from actors.treasurer.providers.program_kinds import CLAUDE, CODEX
    from actors.treasurer.providers.programs import Program

    programs = [Program(kind, environ) for kind in (CLAUDE, CODEX)]
    chats = [OpenAI(preset, environ) for preset in PRESETS.values()]
    return [Ollama(environ), *programs, Anthropic(environ), *chats]
