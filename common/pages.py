"""A finished page of a notebook as the site sees it: where it is, what stands in it, what it shares with the others.

Every page has the same style and navigation, between marks. `refresh` writes them anew, so that a page made long ago
looks like one made today and links to what there is now.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from bs4 import BeautifulSoup
from markupsafe import Markup

from common.atomic import replacing

PROFILES = {  # name to what its numbers are worth
    "demo": "stand-in data, minutes",
    "reduced": "real data, part of the grid, shortened schedule",
    "paper": "real data, the full grid and schedule",
}
HEAD = 4096  # characters in which a page's title and date stand
VERDICTS = "Verdicts"  # the heading of the claims, the same in all notebooks
ADVICE = "What to use"  # the section of the overview that follows from all of them


@dataclass(frozen=True)
class Page:
    """A page under ``<reports>/<profile>/``."""

    path: Path
    profile: str

    @property
    def link(self) -> str:
        """From a page that lies in the folder of the reports."""
        return f"{self.profile}/{self.path.name}"

    @cached_property
    def _text(self) -> str:
        return self.path.read_text(encoding="utf-8", errors="replace")

    @property
    def date(self) -> str:
        """When its notebook ran, year-month-day."""
        found = re.search(
            r'<meta content="([\d-]+)" name="date"|<meta name="date" content="([\d-]+)"', self._text[:HEAD]
        )
        return next(filter(None, found.groups())) if found else ""

    @cached_property
    def anchors(self) -> frozenset[str]:
        """Everything a link into the page can name."""
        return frozenset(html.unescape(name) for name in re.findall(r'\bid="([^"]+)"', self._text))

    def evidence(self, claim: str) -> str:
        """Link to the row of a claim, or else to the table of verdicts."""
        wanted = (f"claim-{claim}", VERDICTS)
        anchor = next((name for name in wanted if name in self.anchors), "")
        return f"{self.link}#{quote(anchor)}" if anchor else self.link

    def advice(self) -> list[tuple[str, Markup]]:
        """What the overview says to use: caption and table for each situation."""
        soup = BeautifulSoup(self._text, "html.parser")
        heading = soup.find("h2", id=ADVICE.replace(" ", "-"))
        tables = []
        for element in heading.find_all_next(["h2", "table"]) if heading else ():
            if element.name == "h2":
                break
            tables.append((element.caption.get_text(), Markup(element.parent)))
        return tables


def image_width(source: str) -> int:
    """CSS pixels that an image in a ``data:`` address is wide by itself; 0 where it does not say."""
    head, _, data = source.partition(",")
    if not head.endswith(";base64"):
        return 0
    content = base64.b64decode(data)
    if "svg" in head:
        found = re.search(rb'<svg\b[^>]*?\bwidth="([\d.]+)(pt|px)?"', content)
        return round(float(found[1]) * (4 / 3 if found[2] == b"pt" else 1)) if found else 0
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        return image.width


def find(reports: Path, name: str, demo: bool = True) -> list[Page]:
    """The pages called `name`, best profile first; `demo`: with those of the demo profile."""
    profiles = [profile for profile in reversed(PROFILES) if demo or profile != "demo"]
    return [Page(path, profile) for profile in profiles if (path := reports / profile / name).exists()]


def refresh(path: Path, shared: Mapping[str, str]) -> None:
    """Replace what a page shares with the others, by name of its marks; a page without them is left alone."""
    before = text = path.read_text(encoding="utf-8")
    for name, content in shared.items():
        start, mark, rest = text.partition(f"<!-- {name} -->")
        _, end, rest = rest.partition(f"<!-- /{name} -->")
        if mark and end:
            text = f"{start}{mark}{content}{end}{rest}"
    if text != before:
        write(path, text)


def write(path: Path, text: str) -> None:
    """Write through a temporary file, so that a page is there whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))
