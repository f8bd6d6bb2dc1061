"""The command `devtool`."""

import click


@click.command()
def main() -> None:
    """Say where this module was imported from."""
    click.echo(f"devtool from {__file__}")
