"""`python -m segchips` is the command `segchips`."""

from segchips.cli import main

main()
