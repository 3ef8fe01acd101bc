"""`python -m delineate_runtime`."""

from delineate_runtime.command import main

main()
