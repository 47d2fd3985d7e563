"""The overview: what was measured of each paper, and what the papers say together; for notebook 0.

Everything follows from measured results, the committed ones and those of the store, and changes as they come in. What a
study adds of its own is in ``common/studies/<stem>_overview.py``; which method wins is in `common.overview_contest`,
where the papers meet in `common.overview_meetings`, printed numbers beside ours in `common.comparison`.
"""

from __future__ import annotations

import importlib
from functools import cached_property
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from common import comparison, comparison_tables, ledger, pages, paths, study, tables, verdict_tables
from common import overview_contest as contest
from common import overview_meetings as meetings
from common.claim_words import caveats, how_tested
from common.papers import PAPERS
from common.replications import reports_root
from common.store import Store

NOT_YET = "Not measured yet."


class Account(ledger.Findings):
    """What there is to say of one paper."""

    def __bool__(self) -> bool:
        return len(self.frame) > 0

    @cached_property
    def own(self):
        """What the study tells the overview."""
        return comparison.hook(self.paper.stem)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The scores that its methods race by; empty where nothing was measured."""
        return self.own.contest(self.frame).reset_index(drop=True) if self else pd.DataFrame()

    def counted(self) -> Markup:
        """How often each verdict was given."""
        counts = self.claims["verdict"].value_counts()
        return Markup(" ").join(
            Markup('<span style="white-space: nowrap">{} {}</span>').format(counts[name], verdict_tables.verdict(name))
            for name in verdict_tables.VERDICTS
            if name in counts
        )

    def page(self, profile: str) -> Markup:
        """Link to its full page from a page of the profile; only a demo page leads to a demo page."""
        there = pages.find(reports_root(), self.paper.page, demo=profile == "demo")
        best = next((page for page in there if page.profile == profile), there[0] if there else None)
        return Markup('<a href="../{}">full page</a>').format(best.link) if best else Markup("no page yet")


def accounts(store: str = "", committed: Path | None = None) -> dict[str, Account]:
    """The account of each paper, by stem.

    Parameters
    ----------
    store : str
        Folder of finished cells ("": IMBALANCE_STORE, else ``.store/``).
    committed : Path, optional
        Folder of measured results (default: the committed ones).
    """
    both = Store(paths.ROOT / Path(store).expanduser() if store else paths.store_root(), committed)
    there = both.stems()
    found = {}
    for paper in PAPERS:
        # Without results the import of a study would only cost time.
        module = importlib.import_module(f"common.studies.{paper.stem}") if paper.stem in there else None
        frame = study.measured(module, both) if module else pd.DataFrame()
        found[paper.stem] = Account(paper, module if len(frame) else None, frame)
    return found


# -- one paper ---------------------------------------------------------------------------------------------------------


def glance(found: dict[str, Account], profile: str) -> tables.Html:
    """The papers, a row each: what was measured, how its claims fared, what it cost."""
    rows = [
        {
            "paper": f"{one.paper.number} {one.paper.short}" + (f" ({one.paper.known})" if one.paper.known else ""),
            "measured": one.summary or NOT_YET,
            "claims": one.counted(),
            "training": one.cost or tables.MISSING,
            "more": one.page(profile),
        }
        for one in found.values()
    ]
    return tables.table(pd.DataFrame(rows, dtype=object), "The five papers", kind="glance")


def account(one: Account, profile: str) -> list:
    """What to display of one paper: findings, figure, headline claims, deviations that matter, cost and link."""
    link = Markup("<p>Claims: {}. Margins, notes and everything else: {}.</p>").format(one.counted(), one.page(profile))
    if not one:
        return [tables.banner(NOT_YET, kind="note"), tables.Html(link)]
    shown = [tables.banner(one.summary, kind="note"), best(one)]
    figure = one.own.figure(one.frame)
    if figure is not None:
        shown += [tables.Html("<p>{} {}</p>").format(one.own.FIGURE, one.own.drawn(one.frame)), figure]
    headlines = one.claims[one.claims["headline"] & (one.claims["verdict"] != "no data")]
    if len(headlines):
        shown.append(_headlines(headlines))
    mattering = [row for row in one.own.deviations(one.frame) if row["what"] in one.own.MATTER]
    unique = list({tuple(map(str, row.values())): row for row in mattering}.values())
    shown.append(tables.deviations(unique, "Deviations that matter most"))
    return [*shown, tables.Html(link + Markup("<p>Cost: {}.</p>").format(one.cost))]


def _headlines(verdicts: pd.DataFrame) -> tables.Html:
    """Claims with effect, n and verdict; notes and margins are on the paper's page."""
    rows = verdicts.to_dict("records")
    columns = {
        "claim": [tables.text(row["statement"]) for row in rows],
        "measured on": [tables.text(row["data"]) for row in rows],
        "holds if": [tables.text(how_tested(row)) for row in rows],
        tables.EFFECT: [verdict_tables.verdict_effect(row) for row in rows],
        "n": [tables.text(int(row["n"])) for row in rows],
        "verdict": [
            verdict_tables.verdict(row["verdict"])
            + Markup(' <span class="note">{}</span>').format(caveats(row["verdict_note"])[0])
            for row in rows
        ],
    }
    return tables.assembled(columns, "Headline claims that were measured", "verdicts", right=("n",))


def best(one: Account) -> tables.Html:
    """In words, which method has the highest mean by each measure over all settings, and by how much."""
    lines = []
    for group, race in contest.races(one.scores, one.own.BASELINE, contest.PLACE):
        lead = f"over {race.baseline} by {contest.at_level(race, race.best, race.baseline)}"
        if race.best == race.baseline:
            lead = "the baseline itself"
        elif race.best not in race.better:
            lead += f", not shown to be above it, n = {race.n}"
        words = (group["where"], one.own.MEASURES[group["metric"]], race.best, lead)
        lines.append(Markup("<li>{}, {}: {} has the highest mean ({}).</li>").format(*words))
    return tables.Html(Markup("<ul>{}</ul>").format(Markup().join(lines)) if lines else "")


# -- across the papers -------------------------------------------------------------------------------------------------


def meeting(topic: str, found: dict[str, Account]) -> tables.Html:
    """Our numbers on a topic that several papers share (`overview_meetings.TOPICS`)."""
    measured = {stem: (one.frame, one.module) for stem, one in found.items()}
    return tables.table(meetings.meeting(topic, measured), f"Our own numbers: {topic}")


def winners(found: dict[str, Account], by_setting: bool = False) -> pd.DataFrame:
    """Which method wins on which measure, over all settings of a data set or setting by setting."""
    by = [*contest.PLACE, "setting"] if by_setting else contest.PLACE
    parts = [
        contest.winners(contest.races(_in_order(one), one.own.BASELINE, by), one.own.MEASURES)
        for one in filter(None, found.values())
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def advice(found: dict[str, Account]) -> list[tables.Html]:
    """What to use: for each situation a table of rules, read off the races."""
    rules = {}
    for one in filter(None, found.values()):
        scores = _in_order(one, "strength")
        rows = scores[~scores["metric"].isin(contest.ONE_SIDED)] if len(scores) else scores
        for group, race in contest.races(rows, one.own.BASELINE, [*contest.PLACE, "strength"]):
            title = f"If you {group['situation']} (paper {one.paper.number})"
            lost = contest.unstable(scores[scores["where"] == group["where"]])
            rules.setdefault(title, []).append(contest.advice(group, race, one.own.MEASURES, lost))
    return [tables.table(pd.DataFrame(rows), title) for title, rows in rules.items()]


def _in_order(one: Account, *before: str) -> pd.DataFrame:
    """Its scores by data, measure, these columns and setting; settings from the mildest on."""
    if one.scores.empty:
        return one.scores
    scores = contest.by_strength(one.scores)
    measures = list(one.own.MEASURES).index
    order = ["where", "metric", *before, "imbalance", "rho", "setting"]
    return scores.sort_values(order, key=lambda column: column.map(measures) if column.name == "metric" else column)


# -- printed numbers and ours ------------------------------------------------------------------------------------------


def printed(found: dict[str, Account]) -> pd.DataFrame:
    """Every printed number beside ours (`comparison.together`)."""
    return comparison.together({stem: one.frame for stem, one in found.items()})


def beside(frame: pd.DataFrame) -> list[tables.Html]:
    """Printed results beside ours, folded, a part a paper; `frame` from `printed`."""
    parts = []
    for paper in PAPERS:
        rows = frame[(frame["paper"] == paper.number) & frame["is_result"]]
        ours = rows[rows["ours"].notna()]
        title = f"Paper {paper.number}: {len(ours)} of {len(rows)} printed results have one of ours beside them"
        content = comparison_tables.beside(ours, title) if len(ours) else ""
        parts.append(folded(title, content + Markup("<p>{}</p>").format(comparison.hook(paper.stem).UNPAIRED)))
    return parts


def folded(title: str, content: Markup) -> tables.Html:
    """Content that a reader opens by its title."""
    return tables.Html("<details><summary>{}</summary>{}</details>").format(title, content)


def provenance(found: dict[str, Account]) -> tables.Html:
    """When and on what each paper's results were measured."""
    facts = {}
    for one in filter(None, found.values()):
        cells = one.frame.drop_duplicates("key")
        days = cells["created"].str[:10]
        facts[f"paper {one.paper.number}"] = {
            "cells:": f"{len(cells):,}",
            "measured:": f"{days.min()} to {days.max()}",
            "device:": ", ".join(sorted(cells["device"].unique())),
            "study version:": one.module.VERSION,
        }
    return tables.provenance(facts)
