"""`python -m hatch_pack_venv` is the command `pack-venv`."""

from .cli.main import main

if __name__ == "__main__":
    main()
