"""Figures look the same everywhere and can be told apart; tables escape what they show."""

import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest

from common import plots, tables, verdict_tables
from common.errors import UserError
from common.papers import PAPERS

ATTACK = "<script>alert(1)</script>"
YLABEL = "ROC AUC (0..1)"


def summary(methods=("oversampling", "baseline"), rhos=(5000, 10, 100), mus=(0.2, 0.5)):
    rows = [
        {"method": method, "rho": rho, "mu": mu, "mean": 0.9, "low": 0.88, "high": 0.91, "n": 5}
        for method, rho, mu in itertools.product(methods, rhos, mus)
    ]
    return pd.DataFrame(rows)


def drawn(figure, panel=0):
    """Label to line of the methods in a panel."""
    return {line.get_label(): line for line in figure.axes[panel].lines if not line.get_label().startswith("_")}


# -- figures -----------------------------------------------------------------------------------------------------------


def test_panels_are_labelled():
    titles = {0.2: "MNIST, 2 minority classes", 0.5: "MNIST, $5 minority classes"}
    figure = plots.panels(summary(), "rho", "mu", ylabel=YLABEL, titles=titles)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "(a) MNIST, 2 minority classes",
        "(b) MNIST, $5 minority classes",
    ]
    assert figure.axes[0].get_ylabel() == YLABEL
    assert "imbalance ratio" in figure.axes[0].get_xlabel()
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["10", "100", "5,000"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["baseline", "oversampling"]
    assert "MNIST, 2 minority classes" in figure.alt and "oversampling" in figure.alt


def test_a_method_looks_the_same_in_every_figure():
    few = plots.panels(summary(["oversampling"]), "rho", "mu", ylabel=YLABEL)
    many = plots.panels(summary(["undersampling", "oversampling", "mine"]), "rho", "mu", ylabel=YLABEL)
    one, other = drawn(few)["oversampling"], drawn(many, 1)["oversampling"]
    assert (one.get_color(), one.get_marker()) == (other.get_color(), other.get_marker())
    assert len({line.get_color() for line in drawn(many).values()}) == 3


@pytest.mark.parametrize("scale", ["equidistant", "log", "linear"])
def test_intervals_do_not_overlap_sideways(scale):
    methods = list(plots.METHOD_STYLE)
    figure = plots.panels(summary(methods, mus=[0.2]), "rho", ylabel=YLABEL, scale=scale)
    at = np.sort(np.concatenate([line.get_xdata() for line in drawn(figure).values()]))
    assert len(np.unique(at)) == 3 * len(methods)
    ticks = figure.axes[0].get_xticks()
    # Every point is nearer to its own tick than to any other.
    assert np.abs(at.reshape(3, -1) - np.sort(ticks)[:, None]).max() < np.diff(np.sort(ticks)).min() / 2


def test_lines_without_interval_or_mean():
    frame = summary(mus=[0.2])
    frame.loc[frame["rho"] == 10, ["low", "high"]] = np.nan
    frame.loc[frame["rho"] == 100, ["mean", "low", "high"]] = np.nan
    for intervals in ("bars", "bands", "none"):
        figure = plots.panels(frame, "rho", ylabel=YLABEL, intervals=intervals)
        assert len(drawn(figure)["baseline"].get_xdata()) == 2
        figure.render()


def test_lines_refuse_what_they_would_draw_wrongly():
    with pytest.raises(UserError, match=r"several rows for one rho and method.*mu"):
        plots.panels(summary(), "rho", ylabel=YLABEL)
    with pytest.raises(UserError, match="no column 'to_rho'"):
        plots.panels(summary(), "to_rho", ylabel=YLABEL)
    with pytest.raises(UserError, match="no rows"):
        plots.panels(summary().iloc[:0], "rho", ylabel=YLABEL)
    with pytest.raises(UserError, match="scale 'log' needs numbers"):
        plots.panels(summary(mus=[0.2]), "method", hue="rho", ylabel=YLABEL, scale="log")
    with pytest.raises(UserError, match="at most"):
        plots.method_styles(map(str, range(20)))


def test_figures_are_reproducible_and_small():
    first, second = (plots.panels(summary(), "rho", "mu", ylabel=YLABEL).render() for _ in range(2))
    assert first == second and len(first) < 60_000
    assert first.lstrip().startswith(b"<?xml")


def test_images():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in [(8, 8), (8, 8, 1), (8, 8, 3)]]
    figure = plots.images(pictures, ["$cat", "$dog", ATTACK], columns=2)
    assert figure.render().startswith(b"\x89PNG")
    assert "$dog" in figure.alt
    with pytest.raises(UserError, match="3 images, 1 titles"):
        plots.images(pictures, ["cat"])
    with pytest.raises(UserError, match=r"shape \(3, 8, 8\)"):
        plots.images([np.zeros((3, 8, 8))])


@pytest.mark.parametrize("classes", [10, 100])
def test_class_counts(classes):
    figure = plots.class_counts([5000] * classes, [f"class {i}" for i in range(classes)], "CIFAR")
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("class", "training images")
    assert f"{classes} classes" in figure.alt
    figure.render()
    with pytest.raises(UserError, match="one count and name per class"):
        plots.class_counts([1, 2], ["one"])


def test_style_is_what_charts_use():
    with matplotlib.rc_context():
        plots.style()
        assert matplotlib.rcParams["axes.prop_cycle"].by_key()["color"] == list(plots.PALETTE)


# What the eye gets of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
VISION = {
    "normal": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(color):
    rgb = np.array(matplotlib.colors.to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / (0.95047, 1, 1.08883)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_palette_is_distinguishable(vision):
    seen = [lab(np.asarray(VISION[vision]) @ linear(color)) for color in plots.PALETTE]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 10


def test_methods_differ_without_colour_and_stand_out_from_white():
    looks = list(plots.METHOD_STYLE.values())
    assert len({look.marker for look in looks}) == len(looks)
    for look in looks:
        assert 1.05 / ((TO_XYZ @ linear(look.color))[1] + 0.05) > 2.8


# -- tables ------------------------------------------------------------------------------------------------------------


def test_table_escapes_and_says_what_its_headers_head():
    frame = pd.DataFrame({"class": [ATTACK, "b"], "rho": [10.0, 0.5], "auc": [0.98765, np.nan], "n": [5000, 1]})
    html = tables.table(frame, caption=f"Counts {ATTACK}", digits=2)
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert html.count('scope="col"') == 4 and html.count('scope="row"') == 2
    for shown in (">10<", ">0.5<", ">0.99<", f">{tables.MISSING}<", ">5,000<"):
        assert shown in html
    assert "<caption>Counts" in html
    assert len(repr(html)) < 60 and html._repr_html_() == str(html)


def test_table_keeps_a_named_index():
    frame = pd.DataFrame({"auc": [0.5]}, index=pd.Index(["mnist"], name="dataset"))
    assert '<th scope="row">mnist</th>' in tables.table(frame)


def test_numbers_stand_to_the_right_and_text_where_it_is_asked_for():
    frame = pd.DataFrame({"who": ["a"], "n": [3], "range": ["1 to 3"]})
    assert tables.table(frame).count('class="num"') == 2  # head and cell of n
    assert tables.table(frame, right=["range"]).count('class="num"') == 4


def test_deviations_of_several_settings_are_said_once_where_they_are_the_same():
    shared = {"what": "framework", "paper": "Caffe", "here": "torch", "why": "kept"}
    size = {"what": "size", "paper": "224", "here": "64", "why": "cost"}
    late = {"what": "data", "paper": "all", "here": "half", "why": "cost"}
    parts = {"a": [shared, size, late], "b": [shared, size | {"here": "32"}], "c": [shared, size | {"here": "32"}]}
    assert [(row["what"], row["here"]) for row in tables.together(parts)] == [
        ("framework", "torch"),
        ("size", "a: 64"),
        ("size", "b; c: 32"),
        ("data", "a: half"),
    ]
    assert tables.together({"a": parts["a"]}) == parts["a"]


def verdicts():
    return pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "statement": ["one", ATTACK, "three", "four"],
            "where": "section 4",
            "test": ["difference", "equivalence", "claim_trend_of", "level"],
            "quantity": ["", "", "share of settings", ""],
            "n": [5, 5, 3, 0],
            "effect": [0.02, -0.01, 0.0, np.nan],
            "low": [0.01, -0.02, np.nan, np.nan],
            "high": [0.03, -0.001, np.nan, np.nan],
            "margin": [0.0, 0.01, np.nan, 0.0],
            "verdict": ["supported", "not supported", "undecided", "no data"],
            "verdict_note": [ATTACK, "", "", "no results"],
        }
    )


def test_verdict_table():
    html = verdict_tables.verdict_table(verdicts())
    assert "<script>" not in html
    for shown in (
        "+0.020 [0.010,\N{NO-BREAK SPACE}0.030]",
        "−0.010 [−0.020,\N{NO-BREAK SPACE}−0.001]",
        "✓",
        "✗",
        "difference of value within\N{NO-BREAK SPACE}±0.01",
        '<tr id="claim-a">',
        "no results",
    ):
        assert shown in html
    assert html.count('<span class="verdict ') == 4
    with pytest.raises(UserError, match="no column 'verdict'"):
        verdict_tables.verdict_table(verdicts().drop(columns="verdict"))
    with pytest.raises(UserError, match="verdict 'maybe'"):
        verdict_tables.verdict("maybe")


def test_what_was_changed_stands_with_the_verdict():
    changed = verdicts().assign(changed=["", "", ATTACK, "the margin"])
    assert verdict_tables.changes(changed).striptags() == (
        "2 of 4 claims were changed or added since the claims were written, 2 of them after first results of what "
        "they compare; each says what, beside its verdict."
    )
    early = changed.assign(changed=["", None, "", "2026-11-22, before any result of it: added."])
    assert "1 of 4 claims was changed" in verdict_tables.changes(early)
    assert "none of them after first results" in verdict_tables.changes(early)
    assert "<summary>changed before its first results</summary>" in verdict_tables.verdict_table(early)
    assert verdict_tables.changes(changed.assign(changed="")) == ""
    html = verdict_tables.verdict_table(changed)
    assert html.count("<summary>changed after first results</summary>") == 2 and ATTACK not in html


def test_claims_without_data_say_why_and_what_was_changed():
    html = verdict_tables.waiting_table(verdicts().assign(changed=["", "", "", "the margin"]))
    assert "<tbody>" in html and html.count('scope="row"') == 1
    assert "no results" in html and "the margin" in html and "one" not in html
    assert "changed" not in verdict_tables.waiting_table(verdicts().assign(changed=["of another", "", "", ""]))
    assert verdict_tables.waiting_table(verdicts().assign(verdict="undecided", changed="")) == ""


def test_cells_of_a_verdict_say_their_column():
    html = verdict_tables.verdict_table(verdicts().iloc[:1])
    assert [part.split('"')[0] for part in html.split('data-label="')[1:]] == [
        "verdict", "effect [95% interval]", "n", "holds if", "in the paper"
    ]  # fmt: skip
    assert "data-label" not in tables.table(pd.DataFrame({"a": [1], "b": [2]}))


def test_only_a_difference_has_a_sign():
    row = {"effect": 16.0, "low": None, "high": None}
    for test in ("difference", "equivalence", "trend"):
        assert verdict_tables.verdict_effect(row | {"test": test}, 0) == "+16"
    for test in ("level", "claim_share"):
        assert verdict_tables.verdict_effect(row | {"test": test}, 0) == "16"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((0.5, 0.4, 0.6), "0.500 [0.400, 0.600]"),
        ((0.991, 0.9905, 0.9914), "0.9910 [0.9905, 0.9914]"),  # else both ends would be 0.991
        ((0.5, 0.5, 0.5), "0.500 [0.500, 0.500]"),  # they are the same
        ((-0.0002, -0.1, 0.1), "0.000 [−0.100, 0.100]"),
        ((0.002, -0.00029, 0.0041), "0.0020 [−0.0003, 0.0041]"),  # else it would seem to end at zero
        ((0.002, 0.0, 0.0041), "0.002 [0.000, 0.004]"),  # so it does
        ((0.002, -1e-17, 0.0041), "0.002 [0.000, 0.004]"),
        ((0.00004, -0.00001, 0.00009), "0.000040 [−0.000010, 0.000090]"),
        ((0.5, None, None), "0.500"),
        ((np.nan, None, None), "–"),
    ],
)
def test_an_effect_is_written_so_that_its_ends_differ(values, shown):
    assert tables.effect(*values).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_comparison_table():
    published = pd.DataFrame(
        {"method": ["baseline", "oversampling"], "value": [99.0, 98.0], "comparable": [0.99, 0.98]}
    )
    ours = pd.DataFrame({"method": ["baseline"], "mean": [0.97], "low": [0.96], "high": [0.98], "n": [5]})

    def table(ours, difference=True):
        return tables.comparison_table(published, ours, ["method"], caption="both", difference=difference)

    html = table(ours)
    assert "0.970 [0.960,\N{NO-BREAK SPACE}0.980]" in html and "−0.020" in html
    assert ">0<" in html  # not run: n = 0
    assert "ours − paper" not in table(ours, difference=False)
    with pytest.raises(UserError, match=r"ours has several rows for \{'method': 'baseline'\}"):
        table(pd.concat([ours, ours]))
    with pytest.raises(UserError, match="method"):
        table(ours.rename(columns={"method": "arm"}))


def test_notices_and_facts_escape():
    deviation = {"what": ATTACK, "paper": "10,000", "here": 2000, "why": "time"}
    for html in (
        tables.banner(ATTACK),
        tables.provenance({"file": ATTACK, "seeds": {"classes": 20180710}}),
        tables.deviations([deviation]),
    ):
        assert "<script>" not in html and "&lt;script&gt;" in html
    assert "classes 20180710" in tables.provenance({"seeds": {"classes": 20180710}})
    assert "No deviations" in tables.deviations([])


def test_papers():
    assert [paper.number for paper in PAPERS] == list(range(1, len(PAPERS) + 1))
    assert PAPERS[3].page == "4_systematic_study.html"


def test_effects_too_small_for_the_decimals_are_shown_with_more():
    assert str(tables.effect(-3.1e-5, -4e-5, -2e-5)) == "−0.000031 [−0.000040,\N{NO-BREAK SPACE}−0.000020]"
    assert str(tables.effect(0.0, 0.0, 0.0)) == "0.000 [0.000,\N{NO-BREAK SPACE}0.000]"
    assert str(tables.effect(0.00004, -0.02, 0.02)) == "0.000 [−0.020,\N{NO-BREAK SPACE}0.020]"


def test_intervals_end_where_values_do():
    axes = matplotlib.figure.Figure().subplots()
    rows = pd.DataFrame({"x": [1, 2], "method": "a", "mean": [0.9, 0.5], "low": [-0.5, 0.4], "high": [2.3, 0.6]})
    plots.lines(axes, rows, "x", ylabel="share", within=(0, 1))
    ends = np.array([segment[:, 1] for segment in axes.collections[0].get_segments()])
    assert ends == pytest.approx(np.array([[0, 1], [0.4, 0.6]]))
