"""The small program that touches a sound card."""
