"""How much memory is free, so that a run is not started into a machine that has none left."""

from __future__ import annotations

from pathlib import Path

RESERVE = 2 * 2**30  # bytes: what a kernel with torch and a demo's images takes, when nothing larger was seen yet
_CGROUP = Path("/sys/fs/cgroup")


def free() -> int:
    """Bytes that may still be used: of the machine, or of the container or batch job if that is limited to less."""
    import psutil

    available = psutil.virtual_memory().available
    try:
        limit = int((_CGROUP / "memory.max").read_text())  # the text is 'max' where there is no limit
        counts = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        # Files that were read and are not in use count as used, but go as soon as the room is needed.
        used = int((_CGROUP / "memory.current").read_text()) - int(counts.get("inactive_file", 0))
        return min(available, limit - used)
    except (OSError, ValueError):
        return available


def used(pid: int) -> int:
    """Bytes that a process and all below it hold now."""
    import psutil

    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in family:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def shown(size: int) -> str:
    """A size in GiB."""
    return f"{size / 2**30:.1f} GiB"
