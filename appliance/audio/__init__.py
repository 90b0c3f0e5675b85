"""Sound: the hosts that touch the cards, and the daemon's side of them. Imports nothing: a sound host stays small."""
