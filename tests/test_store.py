"""The store: nothing finished is lost, nothing is counted twice."""

import errno
import json
import random
import zipfile

import pandas as pd
import pytest

from common import exchange, paths, run
from common.errors import UserError
from common.exchange import Exported, Merged
from common.store import Store


def record(key, value=0.5, stand_in=False, **common):
    rows = [
        {"method": "baseline", "prior": "", "metric": "auc", "class_label": -1, "value": value},
        {"method": "thresholding", "prior": "original", "metric": "auc", "class_label": -1, "value": float("nan")},
    ]
    curves = [{"method": "baseline", "curve": "loss", "x": [1, 2], "y": [0.5, 0.25]}]
    common = {"study": "toy", "version": 1, "stand_in": stand_in, "rho": 10.0, "mu": None, "replicate": 0, **common}
    return {"key": key, "common": common, "rows": rows, "curves": curves}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", committed=tmp_path / "committed")


def test_a_record_comes_back_as_it_was(store):
    store.put("toy", record("a", 0.1 + 0.2))
    assert store.keys("toy") == {"a"}
    frame = store.frame("toy")
    assert frame["value"].tolist()[0] == 0.1 + 0.2 and frame["value"].isna().tolist() == [False, True]
    assert store.curves("toy")[["x", "y"]].values.tolist() == [[1, 0.5], [2, 0.25]]
    assert store.get("toy", "b") is None
    store.put("toy", {**store.get("toy", "a"), "key": "b"})
    assert store.get("toy", "b")["rows"] == store.get("toy", "a")["rows"]


@pytest.mark.parametrize("garbage", [b"", b"{", b"null", b'{"key": "a"}', b"\xff\xfe"])
def test_a_damaged_record_is_set_aside_and_said_so(store, garbage):
    store.put("toy", record("a"))
    (path,) = (store.root / "toy").glob("*.json")
    path.write_bytes(garbage)
    with pytest.warns(UserWarning, match="damaged"):
        assert store.get("toy", "a") is None
    assert store.keys("toy") == set()
    assert path.with_suffix(".damaged").read_bytes() == garbage


def test_a_changed_number_is_noticed(store):
    store.put("toy", record("a", 0.25))
    (path,) = (store.root / "toy").glob("*.json")
    path.write_text(path.read_text().replace("0.25", "0.99"))
    with pytest.warns(UserWarning, match="damaged"):
        assert store.get("toy", "a") is None


def test_a_half_written_file_does_not_count(store):
    store.put("toy", record("a"))
    (store.root / "toy" / ".b.json.tmp123").write_text("{")
    assert store.keys("toy") == {"a"}


@pytest.mark.parametrize("target", ["out", "out.zip"])
def test_export_and_merge_carry_results_to_another_machine(store, tmp_path, target):
    for k in range(3):
        store.put("toy", record(f"k{k}", k / 10, replicate=k))
    store.put("toy", record("demo", stand_in=True))
    assert exchange.export(store, tmp_path / target) == {"toy": Exported(3, stand_in_left=1)}
    other = Store(tmp_path / "other", committed=tmp_path / "none")
    other.put("toy", record("k1", 0.1, replicate=1))
    assert exchange.merge(other, tmp_path / target) == {"toy": Merged(2, 1, 0)}
    assert exchange.merge(other, tmp_path / target) == {"toy": Merged(0, 3, 0)}
    columns = ["key", "method", "prior", "metric", "value", "rho", "replicate", "stand_in"]
    theirs, ours = (
        s.frame("toy").query("key != 'demo'").sort_values(["key", "method"], ignore_index=True)[columns]
        for s in (store, other)
    )
    pd.testing.assert_frame_equal(theirs, ours, check_dtype=False)
    assert len(other.curves("toy")) == 6


def test_exported_results_are_the_lower_layer_of_a_fresh_clone(store, tmp_path):
    store.put("toy", record("a", 0.25))
    exchange.export(store, tmp_path / "committed")
    fresh = Store(tmp_path / "fresh", committed=tmp_path / "committed")
    assert fresh.keys("toy") == {"a"}
    fresh.put("toy", record("b", 0.75))
    assert fresh.frame("toy", {"a"})["value"].iloc[0] == 0.25
    assert set(fresh.frame("toy")["key"]) == {"a", "b"}
    fresh.put("toy", record("a", 0.5))  # measured again: the upper layer wins, and counts once
    assert fresh.frame("toy", {"a"})["value"].dropna().tolist() == [0.5]
    assert exchange.export(fresh, tmp_path / "again") == {"toy": Exported(2)}


def test_exporting_twice_writes_the_same_bytes(store, tmp_path):
    for key in "cab":
        store.put("toy", record(key))
    exchange.export(store, tmp_path / "one")
    exchange.export(store, tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["toy.parquet", "toy_curves.parquet"]
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)


def test_stand_in_cells_leave_no_trace_in_what_is_exported(store, tmp_path):
    """Neither their columns nor the types that a table with them has: what is committed changes with results alone."""
    store.put("toy", record("a", flag=True, network="vgg"))
    exchange.export(store, tmp_path / "committed")
    for committed in (tmp_path / "none", tmp_path / "committed"):
        other = Store(store.root if committed.name == "none" else tmp_path / "other", committed)
        other.put("toy", record("demo", stand_in=True, reason="no minority", replicate=None, flag=None))
        assert exchange.export(other, tmp_path / "again") == {"toy": Exported(1, stand_in_left=1)}
        for name in ("toy.parquet", "toy_curves.parquet"):
            assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "committed" / name).read_bytes()


def mixed(store):
    """One cell on a paper's data, one on stand-in data, two on a reader's own images, one of them named by its path."""
    store.put("toy", record("real", dataset="mnist"))
    store.put("toy", record("demo", stand_in=True, dataset="shapes"))
    store.put("toy", record("mine", stand_in=True, dataset="folder:photos"))
    store.put("toy", record("path", stand_in=True, dataset="/home/me/photos"))


@pytest.mark.parametrize("target", ["out", "out.zip"])
def test_results_on_own_images_go_from_machine_to_machine(store, tmp_path, target):
    mixed(store)
    assert exchange.export(store, tmp_path / target) == {"toy": Exported(3, own=2, stand_in_left=1)}
    other = Store(tmp_path / "other", committed=tmp_path / "none")
    assert exchange.merge(other, tmp_path / target) == {"toy": Merged(3, 0, 0)}
    found = other.cells("toy").set_index("key")
    assert found["stand_in"].to_dict() == {"real": False, "mine": True, "path": True}
    assert found.loc["mine", "dataset"] == "folder:photos" and len(other.curves("toy", {"mine"})) == 2
    assert exchange.export(other, tmp_path / "on") == {"toy": Exported(3, own=2)}


def test_results_on_own_images_are_never_committed(store, tmp_path, monkeypatch):
    store.put("toy", record("real", dataset="mnist"))
    exchange.export(store, tmp_path / "before")
    mixed(store)
    monkeypatch.chdir(tmp_path)
    for target in (tmp_path / "reports" / "results", "reports/results/"):
        assert exchange.export(store, target) == {"toy": Exported(1, own_left=2, stand_in_left=1)}
        for path in (tmp_path / "before").iterdir():
            assert (tmp_path / "reports" / "results" / path.name).read_bytes() == path.read_bytes()


def test_an_export_says_what_it_leaves_out(store, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "reports" / "results")
    mixed(store)
    store.put("able", {**record("b", stand_in=True, dataset="digits")})
    for target, said in (
        ("x.zip", "able: 0 (left out: 1 on stand-in data), toy: 3 (2 on own images; left out: 1 on stand-in data)"),
        ("reports/results", "toy: 1 (left out: 2 on own images, 1 on stand-in data)"),
    ):
        assert run.main(["export", str(tmp_path / target), "--store", str(store.root)]) == 0
        assert capsys.readouterr().out.endswith(f"{said})\n")


def test_an_export_of_stand_in_data_alone_writes_nothing(store, tmp_path):
    store.put("toy", record("demo", stand_in=True))
    with pytest.raises(UserError, match=r"x.zip: nothing to write \(toy: 0 \(left out: 1 on stand-in data\)\); run"):
        exchange.export(store, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("x", [[0, 1, 2, 3], [0.0, 0.5, 1.0, 1.5]])
def test_curves_over_whole_and_other_numbers_come_back_as_they_were(store, tmp_path, x):
    one = record("a")
    one["curves"] = [{"method": "baseline", "curve": "picture", "x": x, "y": [7, 7, 8, 9]}]
    store.put("toy", one)
    exchange.export(store, tmp_path / "out")
    found = pd.read_parquet(tmp_path / "out" / "toy_curves.parquet")
    assert found["x"].tolist() == x and found["y"].tolist() == [7, 7, 8, 9]


def test_what_is_no_export_is_refused(store, tmp_path):
    (tmp_path / "text.zip").write_text("hello")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil.parquet", b"")
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "committed.parquet")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "missing.zip": "no such file",
        "text.zip": "not a .zip",
        "evil.zip": "expected only",
        "empty": "holds no",
    }.items():
        with pytest.raises(UserError, match=message):
            exchange.merge(store, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("toy.parquet", random.Random(0).randbytes(500) * 20)
    whole = (tmp_path / "damaged.zip").read_bytes()
    header, entry = whole.index(b"PK\x03\x04"), whole.index(b"PK\x01\x02")
    for at, flags in {"bits": {100: 0xFF}, "encrypted": {header + 6: 1, entry + 8: 1}}.items():
        broken = bytearray(whole)
        for place, bits in flags.items():
            broken[place] ^= bits
        (tmp_path / f"{at}.zip").write_bytes(broken)
        with pytest.raises(UserError, match=r"not a \.zip that can be read"):
            exchange.merge(store, tmp_path / f"{at}.zip")
    (tmp_path / "other").mkdir()
    pd.DataFrame({"key": ["a"], "x": [1]}).to_parquet(tmp_path / "other" / "toy.parquet")
    with pytest.raises(UserError, match="not a result file"):
        exchange.merge(store, tmp_path / "other")
    with pytest.raises(UserError, match=r"expected a folder or a file ending in \.zip"):
        exchange.export(store, tmp_path / "out.csv")
    (tmp_path / "plain").touch()
    with pytest.raises(UserError, match=r"plain: is a file; expected a folder or a file ending in \.zip"):
        exchange.export(store, tmp_path / "plain")


@pytest.mark.parametrize(("code", "said"), [(errno.EACCES, False), (errno.ENOENT, False), (errno.ENOSPC, True)])
def test_a_folder_that_takes_no_file_is_not_writable_whatever_its_permissions(tmp_path, monkeypatch, code, said):
    """But a full disk may have room again."""
    assert paths.writable(tmp_path / "new") and not list(tmp_path.iterdir())

    def refused(dir):
        raise OSError(code, "refused", str(dir))

    monkeypatch.setattr(paths.tempfile, "TemporaryFile", refused)
    assert paths.writable(tmp_path / "new") is said


def test_files_of_others_are_no_damaged_records(store, tmp_path, recwarn):
    """A wrong --store, such as one's own project, must come to no harm."""
    other = store.root / "config" / "settings.json"
    other.parent.mkdir(parents=True)
    other.write_text('{"my": "settings"}', encoding="utf-8")
    store.put("toy", record("a"))
    assert store.stems() == ["toy"]
    exchange.export(store, tmp_path / "out")
    assert other.read_text(encoding="utf-8") == '{"my": "settings"}' and not list(recwarn)


def test_a_folder_that_cannot_be_read_is_not_empty(store, monkeypatch):
    """Else an export would leave out what it holds, and a run would measure it again."""
    store.put("toy", record("a"))

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    for name, asked in (("listdir", lambda: store.keys("toy")), ("scandir", lambda: exchange.export(store, "x"))):
        with monkeypatch.context() as patch, pytest.raises(UserError, match=r"cannot be read \(Permission denied\)"):
            patch.setattr(f"common.store.os.{name}", refused)
            asked()


def test_records_are_plain_json(store):
    store.put("toy", record("a"))
    (path,) = (store.root / "toy").glob("*.json")
    assert json.loads(path.read_text())["common"]["study"] == "toy"


def test_curves_of_some_cells_come_from_both_layers(store, tmp_path):
    for key in "abc":
        store.put("toy", record(key))
    exchange.export(store, tmp_path / "lower")
    other = Store(tmp_path / "other", committed=tmp_path / "lower")
    other.put("toy", record("d"))
    assert set(other.curves("toy", {"a", "d", "e"})["key"]) == {"a", "d"}
    assert other.curves("toy", set()).empty
