"""Thin edges to the world: the network link, the panel, the control socket, credentials."""
