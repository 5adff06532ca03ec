"""The node's directory: what is in it, how it is made, and where its socket is."""

from __future__ import annotations

import datetime
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mpc.hashing import labelled_hash
from parties.cards import Card, make_card
from parties.config import (
    DATASETS_TOML,
    NODE_TOML,
    Settings,
    check_name,
    is_wildcard,
    parse_settings,
    read_settings,
)
from parties.errors import ConfigError
from parties.identity import VALID_DAYS, Identity, load_identity, save_identity
from parties.keyfiles import Passphrase, make_private_directory
from parties.operators import OPERATORS_TOML, ROLES, OperatorKey, enrol
from parties.policy import POLICY_TOML
from parties.tomlfile import toml_value, write_atomic
from parties.trust import TrustStore

FIRST_OPERATOR: Final = "admin"
_MOST_SOCKET_BYTES: Final = 107  # sockaddr_un.sun_path less its final zero


@dataclass(frozen=True)
class Home:
    """Paths inside a node's directory, and what is read from them."""

    directory: Path

    @classmethod
    def open(cls, directory: Path | str) -> Home:
        """Raises ``ConfigError`` if there is no node in ``directory``."""
        home = cls(Path(directory))
        if not home.node_toml.is_file():
            raise ConfigError(
                "no node here", where=directory, remedy="make one: jointcredit node init"
            )
        return home

    @property
    def node_toml(self) -> Path:
        return self.directory / "node.toml"

    @property
    def policy_toml(self) -> Path:
        return self.directory / "policy.toml"

    @property
    def datasets_toml(self) -> Path:
        return self.directory / "datasets.toml"

    @property
    def operators_toml(self) -> Path:
        return self.directory / "operators.toml"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def trust(self) -> Path:
        return self.directory / "trust"

    def settings(self) -> Settings:
        return read_settings(self.node_toml)

    def identity(self, passphrase: Passphrase = None) -> Identity:
        return load_identity(self.settings().name, self.keys, passphrase)

    def store(self) -> TrustStore:
        return TrustStore(self.trust, self.settings().name)

    def card(self, passphrase: Passphrase = None) -> Card:
        """Our own card as of now: made anew from the keys and node.toml."""
        return make_card(self.identity(passphrase), self.settings().endpoint)

    def operator(self, name: str | None = None, passphrase: Passphrase = None) -> OperatorKey:
        """The key of operator ``name``, or of the only one whose key is on this machine."""
        keys = {path.stem: path for path in sorted((self.keys / "operators").glob("*.key"))}
        if name is None and len(keys) != 1:
            raise ConfigError(
                "no operator key here" if not keys else "several operators have keys here",
                where=self.keys / "operators",
                remedy=f"name one of: {', '.join(keys)}" if keys else "enrol one",
            )
        chosen = name or next(iter(keys))
        if chosen not in keys:
            raise ConfigError(f"no key of operator {chosen}", where=self.keys / "operators")
        return OperatorKey.load(keys[chosen], passphrase)

    def claim_socket(self) -> Path:
        """Where the node shall listen for its operators; noted down for :meth:`socket`."""
        path = socket_path(self.directory)
        write_atomic(self.state / "socket", f"{path}\n".encode(), mode=0o600)
        return path

    def socket(self) -> Path:
        """Where the node listens, or did last. The daemon's environment may differ from ours."""
        try:
            return Path((self.state / "socket").read_text().strip())
        except OSError:
            raise ConfigError(
                "the node is not running",
                where=self.directory,
                remedy=f"start it: jointcredit node serve {self.directory}",
            ) from None


def init_node(
    directory: Path | str,
    name: str,
    listen: str,
    *,
    advertise: str | None = None,
    operator: str = FIRST_OPERATOR,
    passphrase: Passphrase = None,
    now: datetime.datetime | None = None,
    days: float = VALID_DAYS,
) -> Card:
    """Makes a node in ``directory``, which may exist but holds no node, and returns its card.

    All of it or nothing is there afterwards. Raises ``ConfigError`` for an existing node, a bad
    name or address, and for ``listen`` on all addresses without an address to ``advertise``.
    """
    home = Home(Path(directory))
    check_name(name)
    check_name(operator)
    if is_wildcard(listen) and advertise is None:
        raise ConfigError(
            f"partners cannot call {listen}", remedy="give the address to advertise, HOST:PORT"
        )
    shown = advertise or "partners.example:7001"
    advertised = ("" if advertise else "# ") + f"advertise = {toml_value(shown)}"
    settings_text = NODE_TOML.format(
        name=toml_value(name), listen=toml_value(listen), advertise=advertised
    )
    settings = parse_settings(settings_text)
    home.directory.parent.mkdir(parents=True, exist_ok=True)
    if any((home.directory / entry).exists() for entry in ("node.toml", "keys", "state")):
        raise ConfigError(
            "a node is here already", where=directory, remedy="choose another directory"
        )
    # Built beside its place and moved in file by file, node.toml last: half a node is no node.
    parent = home.directory.parent
    draft = Home(Path(tempfile.mkdtemp(dir=parent, prefix=f".{home.directory.name}.")))
    try:
        identity = Identity.create(name, now, days)
        card = make_card(identity, settings.endpoint)
        for private in (draft.keys, draft.keys / "operators", draft.state, draft.trust):
            make_private_directory(private)
        save_identity(identity, draft.keys, passphrase)
        key = OperatorKey.create(operator)
        key.save(draft.keys / "operators", passphrase)
        draft.operators_toml.write_text(OPERATORS_TOML, "utf-8")
        enrol(draft.operators_toml, operator, key.public, ROLES)
        draft.policy_toml.write_text(POLICY_TOML, "utf-8")
        draft.datasets_toml.write_text(DATASETS_TOML, "utf-8")
        (draft.directory / f"{name}.card").write_text(card.to_json(), "utf-8")
        draft.node_toml.write_text(settings_text, "utf-8")
        _move_in(draft, home)
    finally:
        shutil.rmtree(draft.directory)
    return card


def socket_path(directory: Path) -> Path:
    """A short path of our own for the node in ``directory``; its directory is made if need be.

    Below XDG_RUNTIME_DIR, or else in the temporary directory, in a directory that is ours alone.
    Raises ``ConfigError`` if somebody else made that directory, or the path is still too long.
    """
    digest = labelled_hash("socket", os.fsencode(directory.resolve())).hex()[:16]
    temporary = Path(tempfile.gettempdir()) / f"jointcredit-{os.geteuid()}"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    candidates = [Path(runtime) / "jointcredit"] if os.path.isdir(runtime) else []
    for parent in (*candidates, temporary):
        path = parent / f"{digest}.sock"
        if len(os.fsencode(path)) <= _MOST_SOCKET_BYTES:
            _own_directory(parent)
            return path
    raise ConfigError(
        f"path of the socket is longer than {_MOST_SOCKET_BYTES} bytes",
        where=temporary,
        remedy="set XDG_RUNTIME_DIR or TMPDIR to a shorter directory",
    )


def _own_directory(path: Path) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise ConfigError("is not our own directory", where=path, remedy="remove it")
    if stat.S_IMODE(status.st_mode) != 0o700:
        path.chmod(0o700)


def _move_in(draft: Home, home: Home) -> None:
    entries = sorted(draft.directory.iterdir(), key=lambda path: path.name == "node.toml")
    targets = [home.directory / entry.name for entry in entries]
    for target in targets:
        if target.exists():
            raise ConfigError("is in the way", where=target, remedy="choose another directory")
    if not home.directory.exists():
        home.directory.mkdir(mode=0o700)
    for entry, target in zip(entries, targets, strict=True):
        os.rename(entry, target)
