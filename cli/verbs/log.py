"""`witan log …`: the log itself, read, verified and exported."""

from cli.lazy import Verbs

verb = Verbs(
    "log",
    {
        "tail": ("cli.verbs.log_tail", "The newest events, and those to come."),
        "show": ("cli.verbs.log_show", "One commit, or all of one entity."),
        "verify": ("cli.verbs.log_verify", "Prove that history was not edited."),
        "export": ("cli.verbs.log_export", "The whole log as JSON lines, or its head."),
    },
    help="Read, verify and export the log.",
)
