"""The command `witan`: its verbs, each loaded when it is typed."""

import sys

import click

from cli.lazy import Verbs

VERBS = {
    "run": ("cli.verbs.run", "Say what to build, and stay while it is built."),
    "submit": ("cli.verbs.submit", "Say what to build."),
    "status": ("cli.verbs.status", "The board: every task, or one."),
    "watch": ("cli.verbs.watch", "See a task, or everything, as it happens."),
    "show": ("cli.verbs.show", "All that is known about one task."),
    "trace": ("cli.verbs.trace", "A task's runs, step by step, as a tree."),
    "briefing": ("cli.verbs.briefing", "What an agent that takes a task up is told about it."),
    "artifacts": ("cli.verbs.artifacts", "What a task has produced; --save writes it."),
    "diff": ("cli.verbs.diff", "What a task has changed in its repository."),
    "apply": ("cli.verbs.apply", "Approve a task's work and merge it."),
    "discard": ("cli.verbs.discard", "Throw a task's branch and working tree away."),
    "route": ("cli.verbs.route", "How hard a task is, who should have it, and why."),
    "assign": ("cli.verbs.assign", "Say who does a task's next phase, or let the rules say it."),
    "escalate": ("cli.verbs.escalate", "Stop the work on a task until a person says how it goes on."),
    "history": ("cli.verbs.history", "What tasks took; stats; errors."),
    "council": ("cli.verbs.council", "Several models on one problem: list, show, wins, convene."),
    "cancel": ("cli.verbs.cancel", "Stop working on a task."),
    "reset": ("cli.verbs.reset", "Take a stuck or failed task up again."),
    "budget": ("cli.verbs.budget", "What is spent, and how much may be: list, set, top-up."),
    "models": ("cli.verbs.models", "Every model that can be asked from here."),
    "auth": ("cli.verbs.auth", "Which providers can be used here, and what to type: status."),
    "guardian": ("cli.verbs.guardian", "Pause, resume, override, freeze, thaw."),
    "playbooks": ("cli.verbs.playbooks", "The instructions that agents follow: list, show, run."),
    "roles": ("cli.verbs.roles", "Who can work here: list, show."),
    "workflows": ("cli.verbs.workflows", "Which phases a task can go through: list, show."),
    "query": ("cli.verbs.query", "Ask a view; --list documents them all."),
    "sql": ("cli.verbs.sql", "Ask your own question of a snapshot."),
    "log": ("cli.verbs.log", "Read, verify and export the log."),
    "as-of": ("cli.verbs.as_of", "A view as it was at a place or a time."),
    "rebuild": ("cli.verbs.rebuild", "Make the tables anew from the log."),
    "up": ("cli.verbs.up", "Start Witan in this folder."),
    "down": ("cli.verbs.down", "Stop it."),
    "demo": ("cli.verbs.demo", "See a scripted team at work in a minute."),
    "doctor": ("cli.verbs.doctor", "Find out what is wrong, and what to type."),
    "config": ("cli.verbs.config", "What is configured, and where that is written."),
    "completion": ("cli.verbs.completion", "The completion script of a shell."),
}


def version() -> str:
    """Which Witan this is; a checkout that was never installed has no number."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("witan")
    except PackageNotFoundError:
        return "unreleased"


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"witan {version()}")
        ctx.exit()


cli = Verbs(
    "witan",
    VERBS,
    help="""An AI development team, run from one immutable log.

    Data goes to stdout: a table on a terminal, JSON lines in a pipe, or as --json or --csv says. Everything else goes
    to stderr. A task's ID may be cut short while it stays unambiguous.

    Exit codes: 0 ok, 1 failed, 2 usage, 3 environment, 4 blocked by the budget, 5 waits for a person,
    124 no answer in time, 130 interrupted.
    """,
    params=[
        click.Option(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
        )
    ],
)


def main() -> None:
    """The console script."""
    cli.main(sys.argv[1:], prog_name="witan")


if __name__ == "__main__":
    main()
