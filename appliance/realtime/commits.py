"""Which of our commits the service found empty: an error names none, and may come when the next turn has begun.

Commits are dealt with in the order in which they were sent, but only an empty one is answered by a word of its own. So
one of an earlier turn stands until something shows that the service has dealt with it; while it does, the next such
error is taken for its answer. ``session.py`` has the rules that this serves. Counts, all of them.
"""

from __future__ import annotations


class Commits:
    """The commits of one session that the service may yet call empty."""

    def __init__(self) -> None:
        self._earlier = 0
        """Of turns before the present one."""
        self._own = 0
        """Of the present turn."""
        self._noticed = True
        """The service has shown that it heard something of the present turn; also while there is none."""

    def begin_turn(self, *, noticed: bool) -> None:
        """What is sent from now on is of another turn. ``noticed``: of what the service hears already."""
        self.end_turn()
        self._noticed = noticed

    def end_turn(self) -> None:
        """No turn is present."""
        self._earlier += self._own
        self._own = 0
        self._noticed = True

    def sent(self) -> None:
        """One goes out now."""
        self._own += 1

    def noticed(self) -> None:
        """The service has heard something of the present turn."""
        self._noticed = True

    def dealt_with(self, *, own: bool) -> None:
        """The service would have said by now that a commit of an earlier turn was empty; ``own``: of this one, too."""
        self._earlier = 0
        if own:
            self._own = 0

    def empty(self) -> bool:
        """The service found one empty. Whether it was the present turn's, of which it has heard nothing at all."""
        if self._earlier:
            self._earlier -= 1
            return False
        if not self._own:
            return False
        self._own -= 1
        return not self._noticed
