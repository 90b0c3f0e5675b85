"""Files that are whole whenever the power fails: the former content or the new one, never a piece of either."""

from __future__ import annotations

import contextlib
import errno
import os

SUFFIX = ".new"
"""Of the file that is written before it takes the other's place. One that a power cut has left is overwritten."""


def write(path: str, content: bytes, mode: int | None = 0o600) -> None:
    """Put ``content`` in the place of the file ``path``; when this returns it outlasts a power cut.

    ``mode``: None leaves it to the file system, for FAT, which has none and refuses to set one. Blocks for as long as
    the card takes: 10 to 100 ms on most SD cards, seconds on a worn one (estimated, not measured). At most one writer
    for each file. Raises OSError; then ``path`` is as it was.
    """
    coming = path + SUFFIX
    descriptor = os.open(coming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode or 0o644)
    try:
        try:
            if mode is not None:
                # Whatever the umask says, and whoever left the file there.
                os.fchmod(descriptor, mode)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(coming, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(coming)
        raise
    sync_folder(path)


def reason(error: OSError) -> str:
    """Why a file could not be written, and what to do about it."""
    advice = {
        errno.ENOSPC: "the card is full: df -h, and remove what is large",
        errno.EDQUOT: "the card is full for this user: remove what is large",
        errno.EROFS: "the card is read-only: meant so (overlayfs), or worn out: dmesg, and a new card",
        errno.EIO: "the card is failing: a new one",
    }
    return "; ".join(filter(None, (error.strerror or str(error), advice.get(error.errno or 0))))


def remove(path: str) -> None:
    """Remove the file ``path``, for good when this returns. Raises OSError."""
    os.unlink(path)
    sync_folder(path)


def sync_folder(path: str) -> None:
    """Write down what the folder of ``path`` holds. Raises OSError."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
