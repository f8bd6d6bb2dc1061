"""The graphical command `service-panel`, without a window."""


class Panel:
    """Stands for a window."""

    @staticmethod
    def run() -> None:
        """Say that it would open."""
        print("panel")
