"""The operating system around the box."""
