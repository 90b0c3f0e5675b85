"""How a line of the journal looks, its kinds, its limits."""
