"""Independent random streams from named parts, so that changing one source of chance leaves the others alone."""

from __future__ import annotations

import hashlib


def seed(*parts) -> int:
    """A 63-bit seed from any printable parts, e.g. ``seed("init", replicate)``.

    Hashing the parts keeps streams independent: "minority", "subset", "init" and "order" of one replicate share
    nothing, and adding a stream moves no other. The value does not depend on platform or Python version.
    """
    text = "\x1f".join(repr(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
