"""Options that many commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from mpc.secret import Secret
from parties.client import Client
from parties.errors import ConfigError
from parties.keyfiles import Passphrase

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)

directory = click.argument("directory", metavar="DIR", type=FILE)


def _node(required: bool) -> Callable[[F], F]:
    return click.option(
        "--node", "directory", metavar="DIR", type=FILE, required=required,
        envvar="JOINTCREDIT_NODE",
        help="Our node's directory; the node must be running.  [env: JOINTCREDIT_NODE]",
    )  # fmt: skip


node = _node(required=True)
node_if_run = _node(required=False)
as_json = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
passphrase_file = click.option(
    "--passphrase-file", metavar="FILE", type=FILE,
    help="Keys are sealed with the passphrase on this file's first line.  "
    "[env: JOINTCREDIT_PASSPHRASE holds the passphrase itself]",
)  # fmt: skip
operator = click.option(
    "--operator", metavar="NAME", envvar="JOINTCREDIT_OPERATOR",
    help="Whose key in DIR/keys/operators signs; not needed where there is one.",
)  # fmt: skip


def together(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """The decorators as one, listed by ``--help`` in this order."""

    def apply(command: F) -> F:
        return reduce(lambda made, decorate: decorate(made), reversed(decorators), command)

    return apply


signing = together(operator, passphrase_file)


def passphrase_of(file: Path | None) -> Passphrase:
    """The passphrase of the keys, from the file named or else from the environment."""
    if file is None:
        given = os.environ.get("JOINTCREDIT_PASSPHRASE")
        return Secret(given) if given else None
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError("cannot be read", where=file, remedy="see --passphrase-file") from None
    if not lines or not lines[0]:
        raise ConfigError("holds no passphrase on its first line", where=file)
    return Secret(lines[0])


def connect(directory: Path, operator: str | None, passphrase_file: Path | None) -> Client:
    """The running node's client; ``ConfigError`` says how to start a node that does not run."""
    return Client.open(directory, operator, passphrase_of(passphrase_file))


def words(text: str) -> tuple[str, ...]:
    """``A,B`` as names, in order; empty for the empty text."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def example(*lines: str) -> str:
    """An epilog that click does not rewrap."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
