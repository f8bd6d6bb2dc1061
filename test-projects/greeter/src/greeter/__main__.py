"""Greet with `python -m greeter` as well."""

from greeter.cli import main

if __name__ == "__main__":
    main()
