"""The configuration: defaults, settings, reading, checking."""
