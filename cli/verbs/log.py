"""`witan log …`: the log itself, read, verified and exported."""

import click

from cli.lazy import Verbs


class LogVerbs(Verbs):
    """`witan log -f ID` is short for `witan log tail -f ID`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        begins = bool(args) and args[0].startswith("-") and args[0] not in ctx.help_option_names
        return super().parse_args(ctx, ["tail", *args] if begins else args)


verb = LogVerbs(
    "log",
    {
        "tail": ("cli.verbs.log_tail", "The newest events, and those to come; -f alone is enough."),
        "show": ("cli.verbs.log_show", "One commit, or all of one entity."),
        "verify": ("cli.verbs.log_verify", "Prove that history was not edited."),
        "export": ("cli.verbs.log_export", "The whole log as JSON lines, or its head."),
    },
    help="Read, verify and export the log. `witan log -f ID` follows one task.",
)
