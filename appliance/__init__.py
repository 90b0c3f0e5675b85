"""A push-to-talk voice box for a Raspberry Pi. Importing it imports nothing: sound hosts start fast."""

__version__ = "0.2.0.dev0"
"""The release that this tree is on its way to; in an installed package, that package's version (systemd/build-deb)."""
