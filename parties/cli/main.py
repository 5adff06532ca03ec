"""``jointcredit``: the groups put together, and every error as one line with its exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from parties import __version__
from parties.cli import bench, data, demo, explain, jobs, node, policy, query, ui
from parties.cli.options import example
from parties.client import NodeError
from parties.data_errors import DataError
from parties.errors import ConfigError
from parties.status import Exit, exit_code
from protocols.errors import SessionError

# Until click 8.2 a bare group printed its help by itself, without an exception.
_BARE: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Root(click.Group):
    """Ends the process with the exit codes of ``parties.status``."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except _BARE as error:  # a group without a command: its help
            click.echo(error.format_message(), err=True)
            code = Exit.LOCAL
        except Exception as error:
            if os.environ.get("JOINTCREDIT_DEBUG"):
                traceback.print_exc()
            code, text = explained(error)
            ui.note(text)
        sys.exit(int(code) if isinstance(code, int) else 0)


def explained(error: Exception) -> tuple[int, str]:
    """Exit code and line for whatever ended a command."""
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "jointcredit"
            return Exit.LOCAL, f"error: {error.format_message()} See: {command} --help"
        case click.ClickException():
            return Exit.LOCAL, f"error: {error.format_message()}"
        case click.Abort():
            return Exit.OTHER, "interrupted"
        case NodeError():
            return error.exit_code, f"error: {error}"
        case ConfigError() | DataError() | SessionError():
            return exit_code(error), f"error: {error}"
        case _:
            # What an exception says may hold a cell of somebody's data: its type and place do not.
            return Exit.OTHER, (
                f"error: {type(error).__name__} at {_place(error)}, which is a bug; "
                "JOINTCREDIT_DEBUG=1 shows the traceback"
            )


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parents[2]
    for frame in reversed(frames):
        path = Path(frame.filename)
        if path.is_relative_to(ours) and "site-packages" not in path.relative_to(ours).parts:
            return f"{path.relative_to(ours)}:{frame.lineno}"
    return "an unknown place"


@click.group(
    "jointcredit",
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example(
        "jointcredit node init bank --name bank --listen 127.0.0.1:7001",
        "jointcredit node serve bank",
        "jointcredit psi --node bank --with acme --mine loans --theirs ledger --out common.csv",
    ),
)
@click.version_option(__version__, prog_name="jointcredit")
def cli() -> None:
    """Joint credit checks between organisations that must not show each other their records.

    Exit codes: 0 done, 2 usage or local input, 3 refused by a policy, 4 a peer misbehaved,
    5 link lost or deadline, 6 waiting for approval, 1 anything else.
    """


for command in (
    demo.command,
    node.group,
    data.group,
    policy.group,
    query.psi,
    query.sum_,
    query.score,
    query.run,
    explain.group,
    jobs.group,
    bench.command,
):
    cli.add_command(command)


def main() -> None:
    """The entry point of the ``jointcredit`` command."""
    cli.main(prog_name=cli.name)
