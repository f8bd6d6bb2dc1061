"""The graphical command `service-panel`, without a window."""


class Panel:
    """A stand-in for a window."""

    @staticmethod
    def run() -> None:
        """Print a line instead of opening it."""
        print("panel")
