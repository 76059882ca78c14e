"""`python -m autodls` is the same as `autodls`."""

from autodls.cli.app import main

main()
