"""Who is on the team, as the files say: roles, playbooks, territories."""

import msgspec

from actors.agent.playbooks import Playbook
from actors.agent.role import Role


class Team(msgspec.Struct, frozen=True):
    """What the files say of those who work: roles by name, playbooks by name, and each agent's own territory."""

    roles: dict[str, Role] = {}
    playbooks: dict[str, Playbook] = {}
    territories: dict[str, list[str]] = {}

    def territory(self, agent: str, role: str) -> list[str]:
        """Where this agent may write."""
        own = self.territories.get(agent)
        return own if own is not None else list(self.roles[role].territory) if role in self.roles else ["**"]
