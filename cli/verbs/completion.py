"""`witan completion SHELL`: the script that makes a shell complete verbs, options, task ids and view names."""

import click
from click.shell_completion import get_completion_class

HOW = {
    "bash": 'eval "$(witan completion bash)"',
    "zsh": 'eval "$(witan completion zsh)"',
    "fish": "witan completion fish | source",
}


@click.command("completion", help='Print the completion script of SHELL.\n\n  eval "$(witan completion bash)"')
@click.argument("shell", type=click.Choice(list(HOW)))
def verb(shell: str) -> None:
    from cli.main import cli

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "witan", "_WITAN_COMPLETE").source())
