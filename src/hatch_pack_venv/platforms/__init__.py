"""What differs between Linux, macOS and Windows; the same file names where they mean the same."""
