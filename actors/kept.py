"""Long entities as they stood a while ago, in files beside the log: a start folds what came since, not all there is.

Nothing depends on these files. One that is missing, damaged, made by other code, or about a commit that is not on the
log is as good as none: then the entity is folded from its first commit. See `ops/decisions/0011-long-entities.md`.
"""

import contextlib
import hashlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from actors.decider import Fold, Source
from bus.envelope import link
from bus.log import Loaded

KEEP_EVERY = 1000
"""After so many commits; to fold as many again takes a few hundredths of a second."""


class Kept(msgspec.Struct, frozen=True):
    """The state behind the commit with this link, the causes that the entity remembers, and where to look for it."""

    form: str
    v: int
    link: str
    after: int
    """The commit stands somewhere behind this place in the log, and not far."""
    causes: list[str]
    state: msgspec.Raw


_read_kept = msgspec.json.Decoder(Kept).decode


class Begun(NamedTuple):
    """An entity as it was kept, and the commit that it was kept at with all that came behind it."""

    state: Any
    v: int
    causes: dict[str, None]
    loaded: Loaded


class Keep:
    """One file for each entity."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, subject: str, kept: Kept) -> None:
        """Put it in the place of the one before; if that fails, that one stays."""
        body = msgspec.json.encode(kept)
        path = self._path(subject)
        fresh = path.with_suffix(".new")
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            os.replace(fresh, path)

    def begin(self, subject: str, fold: Fold, source: Source) -> "Begun | None":
        """Where a fold of the entity may begin; None: at its beginning."""
        try:
            digest, _, body = self._path(subject).read_bytes().partition(b"\n")
            kept = _read_kept(body)
            if hashlib.sha256(body).hexdigest().encode() != digest or kept.form != form_of(fold):
                return None
            state = msgspec.json.decode(kept.state, type=type(fold.initial()))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        records = source.read(subject, kept.after)
        since = next((place for place, each in enumerate(records) if link(subject, each.body) == kept.link), None)
        if since is None:
            return None
        loaded = Loaded([record.body for record in records[since:]], records[-1].seq)
        return Begun(state, kept.v, dict.fromkeys(kept.causes), loaded)

    def _path(self, subject: str) -> Path:
        return self._folder / f"{subject}.json"


def form_of(fold: Fold) -> str:
    """A digest of the code that makes the state: when it says something else, the state may be something else."""
    return _digest(str(sys.modules[fold.evolve.__module__].__file__))


@cache
def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:24]
