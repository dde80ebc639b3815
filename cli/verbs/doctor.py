"""`witan doctor`: find out what is wrong, and what to type."""

import asyncio

import click

from cli.checks import Finding, on_this_machine, on_this_witan
from cli.config import Settings
from cli.exits import ENVIRONMENT, FAILED, OK
from cli.options import placed
from cli.output import Form, formatted, print_rows


@click.command("doctor")
@placed
@formatted
def verb(settings: Settings, form: Form) -> int:
    """Look at this machine, this folder and this Witan: each line says ok, warn, bad or absent, and what to type.

    Ends with 0 when nothing is bad, with 1 when something is, with 3 when nothing is bad but Witan does not run.
    """
    findings = [*on_this_machine(settings), *asyncio.run(on_this_witan(settings))]
    print_rows(["what", "state", "told", "next"], findings, form)
    return _exit(findings)


def _exit(findings: list[Finding]) -> int:
    states = {finding.state for finding in findings}
    return FAILED if "bad" in states else ENVIRONMENT if "absent" in states else OK
