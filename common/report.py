"""From an executed notebook to one HTML page that opens anywhere, also without a network.

nbconvert's own pages fetch MathJax, require.js and fonts. Ours hold everything: formulas are MathML, figures are data,
there is no script at all, and a content security policy in the page forbids what we might have missed. The pages around
them, and what all share, are in `common.site`.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from bs4 import BeautifulSoup, Tag
from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from common import pages
from common.errors import UserError
from common.pages import PROFILES, image_width
from common.site import LIMIT, TEMPLATES, shared

WIDGETS = "application/vnd.jupyter.widget-view+json"
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]
PROGRESS = re.compile(r"\d+%\s*\|.*\||\d+it \[\d+:\d+")  # a line of tqdm
ABSENT = re.compile(r"@import|url\((?!\s*['\"]?(?:data:|#))", re.IGNORECASE)  # CSS that fetches something
LOADS = {  # what makes a browser fetch: element to attributes
    "img": ("src", "srcset"), "source": ("src", "srcset"), "video": ("src", "poster"), "audio": ("src",),
    "track": ("src",), "input": ("src",), "script": ("src",), "link": ("href",), "iframe": ("src", "srcdoc"),
    "embed": ("src",), "object": ("data",), "image": ("href", "xlink:href"), "use": ("href", "xlink:href"),
    "base": ("href",), "form": ("action",),
}  # fmt: skip


def render(notebook: Path, page: Path, *, title: str, profile: str) -> Path:
    """Write `page` from an executed notebook; an existing page is replaced in one step.

    Parameters
    ----------
    notebook : Path
        Executed .ipynb; it is not changed.
    page : Path
        ``<reports>/<profile>/<n>_<stem>.html``; it links to ``../index.html``.
    title : str
        Of the page; also its first heading where the notebook has none.
    profile : str
        demo, reduced or paper.

    Raises
    ------
    UserError
        Naming the cell, for a formula that cannot be converted or content outside the page.
    """
    import nbformat

    notebook, page = Path(notebook), Path(page)
    if profile not in PROFILES:
        raise UserError(f"profile {profile!r}; expected one of {', '.join(PROFILES)}")
    try:
        content = nbformat.read(notebook, as_version=4)
    except OSError as error:
        raise UserError(f"{notebook}: cannot be read ({error.strerror})") from None
    except nbformat.reader.NotJSONError:
        raise UserError(f"{notebook}: no notebook; expected an executed .ipynb") from None
    resources = {
        "metadata": {"name": notebook.stem, "path": str(notebook.parent)},
        "title": title,
        "profile": profile,
        "meaning": PROFILES[profile],
        "date": _date(content),
        "injected": any("injected-parameters" in cell.metadata.get("tags", []) for cell in content.cells),
        "shared": shared(page.parent.parent, page.name, profile),
    }
    try:
        html, _ = _exporter().from_notebook_node(_prepared(content), resources=resources)
        soup = BeautifulSoup(html, "html.parser")
        _check_self_contained(soup)
        _anchor_headings(soup, title)
        _describe_images(soup)
        _box_tables(soup)
        text = str(soup)
        _remark_on_size(page, soup, len(text.encode()))
    except UserError as error:
        raise UserError(f"{notebook.name}: {error}") from error
    pages.write(page, text)
    return page


# -- conversion --------------------------------------------------------------------------------------------------------


def _exporter() -> PageExporter:
    exporter = PageExporter(
        template_name="replication",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
    )
    exporter.config.NbConvertBase.display_data_priority = SHOWN
    return exporter


class PageExporter(HTMLExporter):
    """HTMLExporter whose markdown has MathML and no anchors of its own (headings get theirs once the page is whole)."""

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        """Markdown to HTML; the filter of this name in nbconvert's templates."""
        cell = context.get("cell", {})
        renderer = _Renderer(
            escape=False,
            attachments=cell.get("attachments", {}),
            embed_images=True,
            exclude_anchor_links=True,
            path=context["resources"]["metadata"]["path"],
        )
        renderer.where = _name(cell)
        return MarkdownWithMath(renderer=renderer).render(source)


class _Renderer(IPythonRenderer):
    where = ""

    def inline_math(self, body: str) -> str:
        return formula(body, self.where)

    def block_math(self, body: str) -> str:
        return f'<div class="formula">{formula(body, self.where, display="block")}</div>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")


def formula(latex: str, where: str = "formula", display: str = "inline") -> str:
    """A LaTeX formula as MathML.

    Raises
    ------
    UserError
        Naming `where` and the formula. latex2mathml itself raises for broken structure only, and prints a command it
        does not know as it stands; that is an error here too.
    """
    from latex2mathml.converter import convert

    latex = latex.strip()
    try:
        mathml = convert(latex, display=display)
    except Exception as error:  # its exceptions share no base class
        reason = str(error) or re.sub(r"Error$", "", type(error).__name__)
        raise UserError(f"{where}: formula ${latex}$ cannot be converted to MathML ({reason})") from None
    unknown = re.search(r">[^<]*?(\\[A-Za-z]+|\\.|&(?!#?\w+;))[^<]*<", mathml)
    if unknown:
        raise UserError(f"{where}: formula ${latex}$ cannot be converted to MathML ({unknown[1]} is not known there)")
    return mathml


def _prepared(content):
    """Its cells know their number now, and are without progress bars and, where nothing failed, without stderr."""
    for number, cell in enumerate(content.cells, 1):
        cell.metadata["number"] = number
        if cell.cell_type != "code":
            continue
        failed = any(output.output_type == "error" for output in cell.outputs)
        kept = []
        for output in cell.outputs:
            if output.output_type == "stream":
                output["text"] = _without_progress(output.text)
                if not output.text.strip() or (output.name == "stderr" and not failed):
                    continue
            if WIDGETS in output.get("data", {}):
                continue
            kept.append(output)
        cell["outputs"] = kept
    return content


def _without_progress(text: str) -> str:
    """What a terminal would show in the end, less the bars: of a line rewritten by carriage returns, the last state."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return "\n".join(line for line in lines if not PROGRESS.search(line))


def _date(content) -> str:
    """When the notebook was executed, as papermill noted it; else now."""
    noted = content.metadata.get("papermill", {}).get("end_time")
    moment = datetime.fromisoformat(noted) if noted else datetime.now(UTC)
    return moment.strftime("%Y-%m-%d")


def _name(cell) -> str:
    """How an error names a cell: number (from 1) and first line."""
    first = next((line.strip() for line in cell.get("source", "").splitlines() if line.strip()), "")
    return f"cell {cell.get('metadata', {}).get('number', '?')} ({first[:60]})"


# -- the finished page -------------------------------------------------------------------------------------------------


def _check_self_contained(soup: BeautifulSoup) -> None:
    """Take inline scripts out (the page's policy would not run them) and refuse whatever would be fetched."""
    for element in soup.find_all(list(LOADS)):
        for attribute in LOADS[element.name]:
            target = element.get(attribute, "data:").strip()
            if not target.startswith(("data:", "#")):
                raise UserError(f"{_where(element)} loads {target[:80]!r}; a page must hold everything: embed it")
    styled = [element for element in soup.find_all("style") if ABSENT.search(element.get_text())]
    for element in styled + soup.find_all(style=ABSENT):
        raise UserError(f"{_where(element)} has a style that loads something; a page must hold everything")
    for element in soup.select('meta[http-equiv="refresh" i]'):
        raise UserError(f"{_where(element)} leads to another page by itself; a page must hold everything")
    for element in soup.find_all("script"):
        element.decompose()


def _anchor_headings(soup: BeautifulSoup, title: str) -> None:
    """Ids as Jupyter makes them (a link that works there works here), unique; then the table of contents."""
    main = soup.find("main")
    if main.find("h1") is None:
        heading = soup.new_tag("h1")
        heading.string = title
        main.insert(0, heading)
    used, listed = set(), []
    for heading in main.find_all(["h1", "h2", "h3", "h4"]):
        text = " ".join(heading.get_text().split())
        stem = anchor = quote(text.replace(" ", "-"), safe="") or "section"
        number = 1
        while anchor in used:
            number += 1
            anchor = f"{stem}-{number}"
        used.add(anchor)
        # Browsers decode a fragment before they look for its id.
        heading["id"] = unquote(anchor)
        if heading.name in ("h2", "h3"):
            listed.append((heading.name, anchor, text))
        link = soup.new_tag("a", href=f"#{anchor}", attrs={"class": "anchor", "aria-label": f"Link to {text}"})
        link.string = "#"
        heading.append(link)
    if len(listed) > 1:
        contents = soup.new_tag("nav", attrs={"class": "contents", "aria-label": "Contents"})
        for level, anchor, text in listed:
            link = soup.new_tag("a", href=f"#{anchor}", attrs={"class": level})
            link.string = text
            contents.append(link)
        main.insert_before(contents)


def _describe_images(soup: BeautifulSoup) -> None:
    """An image says how wide it is by itself; without alternative text it gets that of the heading above it."""
    for image in soup.find("main").find_all("img"):
        if not image.get("alt", "").strip():
            heading = image.find_previous(["h1", "h2", "h3", "h4"])
            image["alt"] = f"Figure: {' '.join(heading.get_text().removesuffix('#').split())}"
        # So that the style knows how far the image may shrink on a narrow screen.
        image["style"] = f"--width: {image_width(image['src'])}px"


def _box_tables(soup: BeautifulSoup) -> None:
    """A table written in markdown scrolls in a box of its own, as those of `common.tables` do."""
    for table in soup.select(".cell.text table"):
        heading = table.find_previous(["h1", "h2", "h3", "h4"])
        name = " ".join(heading.get_text().removesuffix("#").split())
        table.wrap(soup.new_tag("div", attrs={"class": "table", "role": "region", "tabindex": "0", "aria-label": name}))
        table["class"] = "prose"


def _remark_on_size(page: Path, soup: BeautifulSoup, size: int) -> None:
    """Say which cell makes a page heavier than `LIMIT`; it is written all the same, after what may have been hours."""
    if size > LIMIT:
        heavy = max(soup.select("[data-cell]"), key=lambda cell: len(str(cell)))
        print(
            f"{page.name} has {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.1f} MB; {_where(heavy)} alone has "
            f"{len(str(heavy)) / 1e6:.1f} MB: show fewer points or images, or scatter plots as PNG",
            file=sys.stderr,
        )


def _where(element: Tag) -> str:
    cell = element if element.has_attr("data-cell") else element.find_parent(attrs={"data-cell": True})
    return "the page" if cell is None else f"cell {cell['data-cell']}"
