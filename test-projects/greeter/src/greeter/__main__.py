"""`python -m greeter` greets, too."""

from greeter.cli import main

if __name__ == "__main__":
    main()
