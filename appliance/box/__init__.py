"""One box: built, joined, run."""
