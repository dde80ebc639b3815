"""A group of verbs that lists what there is when it is typed alone."""

import click


class Listing(click.Group):
    """`witan roles` and `witan roles --json` are `witan roles list` and `witan roles list --json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and (args[0] in ctx.help_option_names or not args[0].startswith("-"))
        if not named and not ctx.resilient_parsing:
            args = ["list", *args]
        return super().parse_args(ctx, args)
