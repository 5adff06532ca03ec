"""``python -m parties.cli`` is the ``jointcredit`` command."""

from parties.cli.main import main

main()
