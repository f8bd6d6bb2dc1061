"""`pack-venv`, which is `python -m hatch_pack_venv`: interruptible while it still starts."""

import sys


def main() -> None:
    """Run the command and exit."""
    try:
        from .cli.main import main as run  # takes a tenth of a second
    except (KeyboardInterrupt, RuntimeError) as error:
        # CPython before 3.12 wraps what comes while a class names its attributes (gh-77757).
        if not isinstance(error.__cause__ or error, KeyboardInterrupt):
            raise
        sys.stderr.write("pack-venv: error: interrupted, nothing was written\n")
        raise SystemExit(130) from None
    run()


if __name__ == "__main__":
    main()
