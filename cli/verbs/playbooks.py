"""`witan playbooks …`: the instructions that agents follow; read one, read what it said before, have it followed."""

import asyncio

import click

from actors.agent.playbooks import Playbook
from actors.agent.role import Role
from actors.orchestrator.workflow import Workflow
from bus.errors import Missing, Refused
from bus.ids import fresh_id
from cli.config import Settings
from cli.listing import Listing
from cli.options import placed
from cli.output import Form, clean, formatted, print_one, print_rows, talk
from cli.pieces import pieces_of
from cli.reach import connected, send
from cli.shelf import Found, Shelf, pick, read_shelf


@click.group("playbooks", cls=Listing)
def verb() -> None:
    """The instructions that agents follow.

    Folders in witan/playbooks/ beside witan.toml, or in .witan/playbooks/, add to Witan's own or replace them by name.
    """


@verb.command("list")
@placed
@formatted
def listed(settings: Settings, form: Form) -> None:
    """Print every playbook."""
    table = form is Form.TABLE
    rows = [
        [
            each.name,
            each.role,
            ", ".join(each.inputs) if table else list(each.inputs),
            each.description,
            origin,
            each.version[:12] if table else each.version,
        ]
        for each, origin, _ in read_shelf(settings).playbooks.values()
    ]
    print_rows(["name", "role", "inputs", "description", "origin", "version"], rows, form)


@verb.command("show")
@click.argument("name")
@click.option("--version", metavar="SHA", help="As it was then; the first letters of the sha256 are enough.")
@placed
@formatted
def show(name: str, version: str | None, settings: Settings, form: Form) -> None:
    """Print the file of playbook NAME. `witan log show evt.playbook.NAME` lists its versions."""
    playbooks = read_shelf(settings).playbooks
    if version and not (name in playbooks and playbooks[name].what.version.startswith(version)):
        what, origin, text = asyncio.run(_kept(settings, name, version))
    else:
        playbook, origin, _ = pick(playbooks, name, "playbook")
        what, text = playbook.version, playbook.content.decode()
    if form is Form.TABLE:
        click.echo(clean(text.expandtabs()), nl=not text.endswith("\n"))
    else:
        print_one({"name": name, "version": what, "origin": origin, "text": text}, form)


async def _kept(settings: Settings, name: str, version: str) -> tuple[str, str, str]:
    """The newest version on the log that begins so; its text is in the blob store."""
    from actors.librarian.playbook import subject_of
    from bus.blobs import Blobs
    from bus.jetstream import JetStreamLog
    from bus.messages.kinds import read_commit
    from bus.messages.playbook import PlaybookRevised
    from bus.subjects import token

    async with connected(settings) as connection:
        records = await JetStreamLog(connection).read(subject_of(token(name)))
        events = [event for record in records for event in read_commit(record).events]
        revisions = [event for event in events if isinstance(event, PlaybookRevised)]
        fitting = [event for event in revisions if event.version.startswith(version)]
        if not fitting:
            known = ", ".join(dict.fromkeys(event.version[:12] for event in revisions)) or "none"
            raise Missing(f"playbook {name!r} had no version {version}", f"On the log are: {known}.")
        text = await Blobs(connection).get(fitting[-1].version)
    return fitting[-1].version, fitting[-1].origin, text.decode()


@verb.command("run")
@click.argument("name")
@click.option("--input", "words", multiple=True, metavar="KEY=VALUE|JSON", help="One of its inputs; repeatable.")
@click.option("--role", help="Who does it; the playbook's own role if not said.")
@click.option("--repo", type=click.Path(resolve_path=True), help="The git repository to work in.")
@click.option("--id", "id", help="Repeat this under its id: it is executed once.")
@click.option("--watch", "stay", is_flag=True, help="Stay until it has ended; fails when it does.")
@placed
@formatted
def run(
    name: str,
    words: tuple[str, ...],
    role: str | None,
    repo: str | None,
    id: str | None,
    stay: bool,
    settings: Settings,
    form: Form,
) -> int:
    """Have playbook NAME followed: one phase of its role, and those that this phase cannot do without.

    witan playbooks run run_tests --input task="The parser accepts every ISO 8601 duration" --repo .
    """
    shelf, inputs = read_shelf(settings), pieces_of(words, "--input")
    playbook = pick(shelf.playbooks, name, "playbook").what
    playbook.text(inputs)
    doer = _doer(shelf, playbook, role)
    workflow, phases = _way(shelf, doer, settings.workflow)
    body: dict[str, object] = {
        "task": f"Follow the playbook {name}. {playbook.description}",
        "workflow": workflow,
        "phases": phases,
        "context": {"playbook": name, "inputs": inputs},
    }
    if repo:
        body["repo"] = repo
    answer = send(settings, "cmd.orchestrator.submit_task", body, id or fresh_id())
    if stay:
        from cli.verbs.watch import watch_task

        return watch_task(settings, str(answer["task_id"]), form)
    print_one({field: value for field, value in answer.items() if field != "ok"}, form)
    talk(f"Follow it with: witan watch {answer['task_id']}")
    return 0


def _doer(shelf: Shelf, playbook: Playbook, wanted: str | None) -> str:
    """The role that is to follow the playbook; it must have it among its own."""
    having = [role.name for role, _, _ in shelf.roles.values() if playbook.name in role.playbooks]
    name = wanted or playbook.role
    if not name:
        raise click.UsageError(f"{playbook.name} is written for no role; say --role: {', '.join(having)}.")
    role: Found[Role] = pick(shelf.roles, name, "role")
    if name not in having:
        hint = f"Those who have it: {', '.join(having) or 'nobody'}. Add it to `playbooks` in {role.path}."
        raise Refused(f"a {name} does not have the playbook {playbook.name!r}", hint)
    return name


def _way(shelf: Shelf, role: str, preferred: str) -> tuple[str, list[str]]:
    """The workflow and the phases by which one phase of this role can be had; the configured workflow comes first."""
    for name in sorted(shelf.workflows, key=lambda each: (each != preferred, each)):
        workflow = shelf.workflows[name].what
        for phase in workflow.phases:
            if phase.role == role:
                needed = _needed(workflow, phase.name)
                return name, [each.name for each in workflow.phases if each.name in needed]
    raise Refused(f"no workflow has a phase for a {role}", "Add one: `witan workflows show direct --json` is a model.")


def _needed(workflow: Workflow, phase: str) -> set[str]:
    """The phase and whatever it needs before it."""
    return {phase}.union(*(_needed(workflow, need) for need in workflow.phase(phase).needs))
