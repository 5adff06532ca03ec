"""``jointcredit node``: a party's node, its card, and whom it trusts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from parties.cards import fingerprint, read_card
from parties.cli import options, ui
from parties.cli.options import example
from parties.errors import ConfigError
from parties.home import FIRST_OPERATOR, Home, init_node
from parties.serve import serve
from parties.tomlfile import write_atomic


@click.group("node", epilog=example("jointcredit node serve bank"))
def group() -> None:
    """Make, run and look at our node."""


@group.command(epilog=example("jointcredit node init bank --name bank --listen 127.0.0.1:7001"))
@options.directory
@click.option("--name", required=True, help="What partners call us: a-z, 0-9 and -.")
@click.option("--listen", metavar="HOST:PORT", required=True, help="Where partners connect.")
@click.option(
    "--advertise", metavar="HOST:PORT", help="Where they reach us, if that is another address."
)
@click.option(
    "--operator", default=FIRST_OPERATOR, show_default=True, help="The first operator's name."
)
@options.passphrase_file
def init(
    directory: Path,
    name: str,
    listen: str,
    advertise: str | None,
    operator: str,
    passphrase_file: Path | None,
) -> None:
    """Make a node in DIR: settings, keys, a policy that denies everything, our party card.

    With a passphrase the keys are sealed, and every command that uses them asks for it.
    """
    secret = options.passphrase_of(passphrase_file)
    card = init_node(
        directory, name, listen, advertise=advertise, operator=operator, passphrase=secret
    )
    ui.say(f"made {directory / 'node.toml'} and {directory / 'policy.toml'}, which denies all")
    ui.say(f"card {directory / f'{name}.card'}, to give to partners")
    ui.say(f"fingerprint {card.fingerprint}, for them to compare")


@group.command(epilog=example("jointcredit node card bank --out bank.card"))
@options.directory
@click.option("--out", metavar="FILE", type=options.FILE, help="Write it there.")
@options.passphrase_file
def card(directory: Path, out: Path | None, passphrase_file: Path | None) -> None:
    """Our party card, made anew from our keys and address: what partners need to trust us."""
    made = Home.open(directory).card(options.passphrase_of(passphrase_file))
    if out is None:
        click.echo(made.to_json(), nl=False)
    else:
        if not out.parent.is_dir():
            raise ConfigError("no such directory", where=out.parent, remedy="make it first")
        write_atomic(out, made.to_json().encode())
    ui.note(f"fingerprint {made.fingerprint}")


@group.command(epilog=example("jointcredit node trust bank acme.card zeta.card"))
@options.directory
@click.argument("cards", metavar="CARD...", type=options.FILE, nargs=-1, required=True)
@click.option("--replace", is_flag=True, help="Even where another key, or a newer card, is pinned.")
@options.as_json
def trust(directory: Path, cards: tuple[Path, ...], replace: bool, as_json: bool) -> None:
    """Trust the partners of these cards, once their fingerprints are theirs.

    Compare the fingerprints printed here with your partners over another channel: in person,
    or on a telephone number that you know already.
    """
    store = Home.open(directory).store()
    read = [read_card(path) for path in cards]  # all of them, before the first is trusted
    rows = []
    for each in read:
        news = "now trusted" if store.add(each, replace=replace) else "trusted already"
        rows.append((each.name, each.fingerprint, each.endpoint, f"{each.expires:%Y-%m-%d}", news))
    columns = ("party", "fingerprint", "endpoint", "expires", "state")
    if as_json:
        ui.show_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        ui.show_table(columns, rows)
        ui.note("compare each fingerprint with that partner over another channel")


@group.command("serve", epilog=example("jointcredit node serve bank"))
@options.directory
@options.passphrase_file
def serve_(directory: Path, passphrase_file: Path | None) -> None:
    """Run the node until SIGTERM, which lets sessions end and then exits with 0.

    One line on standard output says that it is ready; logs are JSON lines on standard error.
    """
    secret = options.passphrase_of(passphrase_file)
    asyncio.run(serve(Home.open(directory), click.echo, secret))


@group.command(epilog=example("jointcredit node status bank --json"))
@options.directory
@options.signing
@options.as_json
def status(
    directory: Path, operator: str | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """What the running node says of itself."""
    with options.connect(directory, operator, passphrase_file) as client:
        told = client.status()
    facts: list[tuple[str, object]] = [
        ("name", told.name),
        ("version", told.version),
        ("listen", told.listen),
        ("fingerprint", fingerprint(told.signing_key)),
        ("trusted", told.trusted),
        ("datasets", told.datasets),
        ("jobs_running", told.jobs_running),
        ("jobs_waiting", told.jobs_waiting),
    ]
    if as_json:
        ui.show_json({**dict(facts), "started": told.started})
    else:
        ui.show_facts(
            [(name.replace("_", " "), value) for name, value in facts]
            + [("started", ui.time_text(told.started))]
        )
