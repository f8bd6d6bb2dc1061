"""`pack-venv` and `python -m hatch_pack_venv`: interruptible even while starting."""

import sys


def main() -> None:
    """Run the command and exit."""
    try:
        from .cli.main import main as run  # takes a tenth of a second
    except (KeyboardInterrupt, RuntimeError) as error:
        # CPython before 3.12 wraps exceptions raised in `__set_name__` in RuntimeError (gh-77757).
        if not isinstance(error.__cause__ or error, KeyboardInterrupt):
            raise
        sys.stderr.write("pack-venv: error: interrupted, nothing was written\n")
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
