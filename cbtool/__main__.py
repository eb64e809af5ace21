"""``python -m cbtool``: the command line."""

from cbtool.cli import main

main()
