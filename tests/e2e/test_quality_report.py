"""mrl-index report, held against numpy on the example."""

import html.parser
import re
import xml.dom.minidom

import numpy as np
import pytest
from browser import CHROMIUM, screenshot
from conftest import EXAMPLE, run_index
from test_quality import K, QUERIES, run_json
from truth import top

POINTS = EXAMPLE / "embeddings.npy"


def verdict(path, rows):
    np.save(path, np.ascontiguousarray(rows, dtype=np.float32))
    return run_json("report", "--input", path, "--limit", 100)["verdict"]


def test_report_measures_what_numpy_finds(index):
    report = run_json(
        "report", "--index", index, "--queries", QUERIES, "--sample", 10000, "--limit", 500
    )
    assert report["verdict"] == "useful"
    points, queries = np.load(POINTS), np.load(QUERIES)
    truth = top(points, queries, 512, K)
    for prefix in report["prefixes"]:
        best = top(points, queries, prefix["dims"], max(report["keeps"]))
        for keep, share in zip(report["keeps"], prefix["shortlist"]):
            found = np.mean([len(np.intersect1d(t, b[:keep])) for t, b in zip(truth, best)]) / K
            assert share == pytest.approx(found, abs=0.001)
        squares = (points[:, : prefix["dims"]].astype(np.float64) ** 2).sum(1)
        energy = np.mean(squares / (points.astype(np.float64) ** 2).sum(1))
        assert prefix["energy"] == pytest.approx(energy, abs=1e-4)
        assert prefix["bytes_per_row"] == 2 * prefix["dims"]
        assert prefix["search_ms"] > 0


def test_report_tells_useful_prefixes_from_others(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "rows.npy"
    points = np.load(POINTS).astype(np.float32)
    assert verdict(path, points) == "useful"
    for _ in range(3):
        assert verdict(path, points[:, rng.permutation(512)]) == "not_useful"
    assert verdict(path, rng.normal(size=(5000, 128))) == "not_useful"
    # Plain vectors: rotated at random, then by a principal component analysis of them.
    mixed = points @ np.linalg.qr(rng.normal(size=(512, 512)))[0].astype(np.float32)
    assert verdict(path, mixed) == "not_useful"
    _, axes = np.linalg.eigh(np.cov(mixed.T))
    assert verdict(path, mixed @ axes[:, ::-1]) == "useful_by_rotation"


def test_report_page_is_whole_and_needs_nothing_else(tmp_path):
    page, plots = tmp_path / "page.html", tmp_path / "plots"
    ran = run_index("report", "--input", POINTS, "--limit", 50, "--html", page, "--svg", plots)
    assert ran.returncode == 0, ran.stderr
    assert "Prefixes are useful" in ran.stdout
    text = page.read_text()
    html.parser.HTMLParser().feed(text)
    assert "Prefixes are useful" in text and text.rstrip().endswith("</html>")
    assert "prefers-color-scheme:dark" in text
    outside = set(re.findall(r"(?:https?:)?//[^\s\"'<>]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not outside and "<script" not in text
    names = sorted(path.name for path in plots.iterdir())
    assert names == ["energy.svg", "quality.svg", "shortlist.svg", "time.svg"]
    for path in plots.iterdir():
        svg = path.read_text()
        xml.dom.minidom.parseString(svg)  # Raises if it is not well formed.
        assert svg in text and "NaN" not in svg.replace("NaN or", "")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_report_page_is_drawn_in_light_and_dark(index, tmp_path):
    page = tmp_path / "report.html"
    ran = run_index("report", "--index", index, "--limit", 50, "--html", page)
    assert ran.returncode == 0, ran.stderr
    light, dark = (screenshot(page, tmp_path, is_dark).astype(int) for is_dark in (False, True))
    assert np.median(light) > 200 and np.median(dark) < 60
    for shot in (light, dark):
        # Lines of several hues, in every plot that is on the page.
        vivid = shot.max(axis=2) - shot.min(axis=2) > 100
        assert vivid.mean() > 0.0005
        hues = {tuple(pixel // 64) for pixel in shot[vivid]}
        assert len(hues) >= 4
        filled = np.flatnonzero(vivid.any(axis=1))
        assert filled[-1] > 900
        # Text and grid stand out from what is behind them.
        grey = shot[~vivid].mean(axis=1)
        assert np.percentile(grey, 99.5) - np.percentile(grey, 0.5) > 150


def test_report_grid_of_layers(tmp_path):
    rng = np.random.default_rng(2)
    points = np.load(POINTS)[:2000].astype(np.float32)
    scale = 1 / np.sqrt(points.shape[1])
    for name, noise in (("a", 1.0), ("b", 0.3), ("c", 0.0)):
        noisy = points + noise * scale * rng.normal(size=points.shape)
        np.save(tmp_path / f"{name}.npy", noisy.astype(np.float32))
    layers = [f"layer={i}:{tmp_path}/{name}.npy" for i, name in ((4, "a"), (8, "b"), (12, "c"))]
    grid = run_json("report", "--grid", *layers, "--dims", "32,128,512")["grid"]
    recall, cross = np.array(grid["recall"]), np.array(grid["cross"])
    assert grid["layers"] == ["layer=4", "layer=8", "layer=12"] and grid["dims"] == [32, 128, 512]
    assert (np.diff(recall, axis=0) > 0).all() and (np.diff(recall, axis=1) > 0).all()
    assert recall[2, 2] == pytest.approx(1) and cross[2, 1] > cross[0, 1]


@pytest.mark.parametrize(
    "args, code, message",
    [
        ([], 2, "one of --input, --index and --grid is required"),
        (["--input", "missing.npy"], 74, "missing.npy"),
        (["--input", POINTS, "--dims", "16,600"], 65, "600"),
        (["--input", POINTS, "-k", "10000"], 65, "k is 10000; it goes from 1 to 9999"),
        (["--grid", "alone"], 65, "NAME:FILE or NAME:FILE:QUERIES"),
    ],
)
def test_report_refuses(args, code, message):
    ran = run_index("report", *args)
    assert ran.returncode == code and message in ran.stderr
