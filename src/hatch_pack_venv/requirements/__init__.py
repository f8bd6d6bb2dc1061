"""What the project requires against what is installed."""
