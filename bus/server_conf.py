"""What the embedded nats-server is told: its ports, who may say what, and when a write counts as written."""

import os
import secrets
import socket
from pathlib import Path
from string import Template
from typing import NamedTuple

PUBLIC_MAY_PUBLISH = ("cmd.>", "guardian.>", "ask.>", "$SRV.>")
PUBLIC_MAY_NOT_PUBLISH = (
    "cmd.orchestrator.register_agent",
    "cmd.treasurer.>",
    "cmd.guardian.join_watch",
    "cmd.guardian.acknowledge_freeze",
    "cmd.guardian.bury_letter",
)
"""What only actors say to each other: also under the Guardian's public names."""
PUBLIC_MAY_SUBSCRIBE = ("_INBOX.>", "live.>", "evt.>")
TELLER_MAY_PUBLISH = ("_INBOX.>", "_WITAN.>", "ask.views")
TELLER_MAY_SUBSCRIBE = ("ask.>", "$SRV.>", "_INBOX.>")
"""Whoever asks chooses where the answer goes; the teller can answer into inboxes and nowhere else."""
MAX_PAYLOAD = 1024 * 1024
LOG_MAX = 16 * 1024 * 1024

_LOWEST, _HIGHEST = 12_000, 31_999
"""Below the ports that systems lend to clients: a client that reconnects to one of those can meet itself there."""

_CONF = Template("""\
server_name: "$name"
listen: "127.0.0.1:$port"
http: "127.0.0.1:$monitor"
log_file: "$folder/nats.log"
logfile_size_limit: $log_max
logfile_max_num: 3
max_payload: $max_payload
jetstream {
  store_dir: "$folder"
  sync_interval: always
}
no_auth_user: public
authorization {
  users: [
    { user: operator, password: "$password" }
    { user: teller, password: "$password"
      permissions: { publish: { allow: [$tell] }, subscribe: { allow: [$hear] } } }
    { user: public, password: "$nobody"
      permissions: { publish: { allow: [$publish], deny: [$inner] }, subscribe: { allow: [$subscribe] } } }
  ]
}
""")


class Ports(NamedTuple):
    """Where clients connect, and where the server tells about itself."""

    client: int
    monitor: int


def write_private(path: Path, text: str) -> None:
    """Put the text into a file that nobody else can read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def password_of(folder: Path) -> str:
    """The operator's password: made once, kept in a file of its own."""
    path = folder / "nats.password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


def ports_of(folder: Path, wanted: int = 0) -> Ports:
    """The ports of this folder: the ones it had before, while they are free."""
    path = folder / "nats.ports"
    kept = [int(word) for word in path.read_text().split()] if path.exists() else [wanted, 0]
    client = kept[0] if _is_free(kept[0]) else _free_port()
    monitor = kept[1] if _is_free(kept[1]) and kept[1] != client else _free_port(besides=client)
    if [client, monitor] != kept:
        write_private(path, f"{client} {monitor}\n")
    return Ports(client, monitor)


def write_conf(folder: Path, name: str, ports: Ports) -> Path:
    """The server's configuration file."""
    path = folder / "nats.conf"
    text = _CONF.substitute(
        name=name,
        port=ports.client,
        monitor=ports.monitor,
        folder=str(folder).replace("\\", "\\\\").replace('"', '\\"'),
        log_max=LOG_MAX,
        max_payload=MAX_PAYLOAD,
        password=password_of(folder),
        nobody=secrets.token_urlsafe(24),
        tell=_quoted(TELLER_MAY_PUBLISH),
        hear=_quoted(TELLER_MAY_SUBSCRIBE),
        publish=_quoted(PUBLIC_MAY_PUBLISH),
        inner=_quoted((*PUBLIC_MAY_NOT_PUBLISH, *(each.removeprefix("cmd.") for each in PUBLIC_MAY_NOT_PUBLISH))),
        subscribe=_quoted(PUBLIC_MAY_SUBSCRIBE),
    )
    write_private(path, text)
    return path


def _quoted(subjects: tuple[str, ...]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)


def _is_free(port: int) -> bool:
    if port == 0:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port(besides: int = 0) -> int:
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST + 1)
        if port != besides and _is_free(port):
            return port
