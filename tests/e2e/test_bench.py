"""The benchmarks run; what they measure is no test's business."""

import gzip
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import BIN, EXAMPLE

BENCH = BIN.parents[2] / "bench"


def smoke(program, *flags, timeout=120, **options):
    """What a benchmark prints about made-up rows."""
    ran = subprocess.run([sys.executable, BENCH / program, "--smoke", *flags],
                         capture_output=True, text=True, timeout=timeout, check=False, **options)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def smoke_results(folder, program, *flags, **options):
    """(what it prints, its results)"""
    results = folder / "results.jsonl"
    printed = smoke(program, "--bin", BIN, "--results", results, *flags, **options)
    return printed, [json.loads(line) for line in results.read_text().splitlines()]


def test_search_bench_runs_on_made_up_rows(tmp_path):
    printed, lines = smoke_results(tmp_path, "search_bench.py", "--rivals", "Flat,Hnsw")
    assert "| recall wanted | engine |" in printed
    ours = {line["target"]: line for line in lines if line["engine"] == "mrl"}
    assert set(ours) == {0.9, 0.95, 0.99}
    assert len(ours[0.95]["millis"]) == 2


def test_the_papers_experiments_run_on_made_up_images(tmp_path):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 1000)
    images = rng.normal(size=(4, 64))[labels] + rng.normal(size=(1000, 64))
    rows = np.column_stack([np.clip(8 + 3 * images, 0, 16).round(), labels])
    with gzip.open(tmp_path / "digits.csv.gz", "wt") as file:
        np.savetxt(file, rows, delimiter=",", fmt="%d")
    program = [sys.executable, BENCH / "paper" / "paper.py", "--digits", tmp_path / "digits.csv.gz"]
    ran = subprocess.run(program + ["--bin", BIN, "--json", tmp_path / "results.json"],
                         capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr  # It also counts the engine's multiply-adds.
    tables = json.loads((tmp_path / "results.json").read_text())["digits"]
    by_dims = {row[0]: row for row in tables["Each prefix alone"]}
    assert float(by_dims["64"][1]) > 80  # A quarter by chance.
    plans = {row[0]: row for row in tables["Plans, MRL"]}
    assert plans["single shot, 64 dims"][4] == f"{300 * 64:,}"
    assert plans["AR 8 → 64, K = 200"][4] == f"{300 * 8 + 200 * 64:,}"


def test_prefixes_and_graphs_are_set_side_by_side_on_labelled_rows(tmp_path):
    _, lines = smoke_results(tmp_path, "paper_scale.py", timeout=300)
    plans = {(line["engine"], line["plan"]) for line in lines}
    assert {("Scan16", "adaptive retrieval"), ("Scan16", "funnel")} <= plans
    assert all(line["top1"] > 0 and len(line["millis"]) == 2 for line in lines)


def test_stages_are_compared_with_one_jump_on_made_up_rows(tmp_path):
    printed, lines = smoke_results(tmp_path, "stages.py")
    assert "times cheaper than one jump" in printed
    lines = {line["plan"]: line for line in lines}
    assert lines["one jump"]["funnel"].endswith("16b8:200,256:10")
    assert all(len(line["micros"]) == 2 for line in lines.values())


def test_scan_bench_reads_and_scans_the_same_bytes(tmp_path):
    _, lines = smoke_results(tmp_path, "scan/scan_bench.py")
    assert {line["code"] for line in lines} == {"16b8", "128b1"}
    assert all(50_000 * 16 <= line["bytes"] < 51_000 * 16 for line in lines)  # Whole blocks and their scales.
    assert {line["tile"] for line in lines if line["way"] == "scan"} == {1, 8, 16}
    assert [line["code"] for line in lines if line["way"] == "planes"] == ["128b1"]


def test_serving_bench_runs_on_made_up_rows(tmp_path):
    printed, lines = smoke_results(tmp_path, "serving.py", timeout=300)
    assert "| of the knee |" in printed
    assert [line["share"] for line in lines if line["bench"] == "serving"] == [0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2]
    assert {line["engine"] for line in lines if line["bench"] == "databases"} == {"mrl"}


def test_the_bound_on_the_tail_is_looked_at_on_made_up_rows():
    row = smoke("tail_norm.py").splitlines()[-1].strip("| ").split(" | ")
    assert row[:3] == ["made up", "5000", "128"]
    assert [0 <= float(share.removesuffix("%")) <= 100 for share in row[3:]] == [True, True]


def test_the_least_shortlist_of_each_code_is_found_on_made_up_rows():
    printed = smoke("prefix_keep.py", "--bin", BIN)
    assert "smoke: 3000 rows x 128" in printed
    codes = [line.split(" | ")[0] for line in printed.splitlines() if line.startswith("|")]
    assert codes[2:] == ["| 16b8", "| 32b8", "| 64b8", "| 128b1"]


def test_growth_is_measured_on_made_up_rows():
    printed = smoke("growth.py", "--bin", BIN, timeout=300)
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")][1:]
    kinds = ["scan", "ivf_scan", "graph"]
    assert [row[:2] for row in rows] == [[count, kind] for count in ("2,000", "4,000") for kind in kinds]
    # Each kind is searched by itself.
    assert all(row[2].startswith(row[1]) for row in rows)
    assert all(f"\n{kind}: time grows as rows^" in printed for kind in kinds)


def test_a_database_is_loaded_once_per_version(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    databases = importlib.import_module("databases")
    version = "1.0"
    monkeypatch.setattr(databases.importlib.metadata, "version", lambda package: f"{package}-{version}")
    np.save(tmp_path / "base.npy", np.eye(70, 8, dtype=np.float16))

    class Kept(databases.Database):
        package = "kept"

        def fill(self, folder):
            starts = [(first, len(part)) for first, part in self.parts(32)]
            pathlib.Path(folder, "parts").write_text(json.dumps(starts), encoding="utf-8")

    left = tmp_path / "Kept-kept-1.0-70x8.part"
    left.mkdir()
    (left / "half").touch()  # Of a load that was ended.
    one = Kept(str(tmp_path))
    one.load()
    assert [file.name for file in pathlib.Path(one.path()).iterdir()] == ["parts"]
    assert json.loads(pathlib.Path(one.path(), "parts").read_text()) == [[0, 32], [32, 32], [64, 6]]
    one.build()  # Knows no loader by this name, and needs none.
    version = "1.1"
    with pytest.raises(subprocess.CalledProcessError):
        one.build()


def test_build_bench_runs_on_made_up_rows(tmp_path):
    printed, lines = smoke_results(tmp_path, "build_bench.py", "--work", tmp_path)
    assert "| what | threads | rows/s |" in printed
    assert [(line["kind"], line.get("threads")) for line in lines] == [
        ("read", None), ("copy", None), ("build", 1), ("build", 2)]
    assert all(line["rows_per_s"]["min"] > 0 for line in lines)
    assert list(lines[-1]["share"]) == ["read", "check", "encode", "write", "finish", "index", "database"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.jsonl"]


def test_ingest_bench_runs_on_made_up_rows(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    _, lines = smoke_results(tmp_path, "ingest.py", "--work", tmp_path, env=environment)
    ways = ["sync 1", "sync 100", "sync 1000", "stream 1000", "async 1000"]
    for kind in ("mrl", "floor"):
        assert [line["setting"] for line in lines if line["kind"] == kind] == ways
        assert all(line["rows_per_s"] > 0 for line in lines if line["kind"] == kind)
    assert {"search at rest", "search while writing", "search while writing and compacting"} <= {
        line["kind"] for line in lines
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.jsonl"]


def json_lines(program, *flags):
    ran = subprocess.run([sys.executable, BENCH / program, "--bin", BIN, *map(str, flags)],
                         capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def test_overload_bench_offers_more_than_can_be_answered(index, tmp_path):
    results = tmp_path / "results.jsonl"
    json_lines("overload.py", "--index", index, "--queries", EXAMPLE / "queries.npy", "--seconds", 1, "--results", results)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["run"] for line in lines] == ["funnel: 2 x peak", "funnel: 0.5 x knee after it",
                                               "slow engine: 10 x peak", "slow engine: 0.5 x knee after it"]
    for line in lines:
        assert line["ended"]["OK"] > 0 and line["server_bytes_max"] > 0, line


def test_floor_bench_takes_the_engine_and_the_floor_off(index):
    (found,) = json_lines("floor/floor.py", "--index", index, "--queries", EXAMPLE / "queries.npy", "--rounds", 1,
                          "--seconds", 0.5, "--rate", 100)
    assert found["above"] == pytest.approx(found["server"] - found["floor"] - found["engine"])
    assert 0 < found["floor"] < found["server"] and 0 < found["engine"]


def test_bench_of_many_collections_runs(tmp_path):
    program = [sys.executable, BENCH / "many_collections.py", "--bin", BIN, "--work", tmp_path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(program + ["--collections", "5", "--rows", "3"], env=environment,
                         capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    line = json.loads(ran.stdout)
    assert line["collections"] == 5 and line["ready_bytes"] > 0


def test_filters_keep_the_recall_on_real_rows(tmp_path):
    example = BENCH.parent / "examples" / "wordnet"
    program = [sys.executable, BENCH / "filters.py", "--bin", BIN, "--points", example / "embeddings.npy"]
    program += ["--queries", example / "queries.npy", "--ladder", "16,32,64,128,256,512", "--limit", "100"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(program + ["--results", tmp_path / "results.jsonl"], env=environment,
                         capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 5
    # Where nothing is lost without a filter, nothing could be lost with one.
    assert any(line["recall"]["none"] < 0.9 for line in lines)
    for line in lines:
        recall = dict(line["recall"])
        unfiltered = recall.pop("none")
        assert list(recall) == ["50 %", "10 %", "1 %", "0.1 %"]
        assert min(recall.values()) >= unfiltered - 0.005, line


def gpu_line(engine, what, batch, queries_per_s, **more):
    return {"engine": engine, "what": what, "rows": 1_000_000, "batch": batch, "code_bytes": 16_000_000,
            "queries_per_s": queries_per_s, "p50_us": batch / queries_per_s * 1e6, "p99_us": 100.0} | more


def gpu_table(folder, lines):
    (folder / "gpu.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    program = [sys.executable, BENCH / "gpu_table.py", folder / "gpu.jsonl"]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


def test_gpu_table_sets_lines_beside_the_targets(tmp_path):
    table = gpu_table(tmp_path, [
        {"engine": "card", "what": "copy", "bytes_per_s": 4e12},
        gpu_line("mrl", "gpu_scan 16b8:200", 1024, 1_500_000, recall_of_scan=1.0),
        gpu_line("mrl", "gpu_scan 16b8:200", 1, 10_000, recall_of_scan=1.0),
        gpu_line("mrl", "faiss_gpu IVF4096,Flat on 16:200 nprobe 16", 64, 9_000, recall_of_exact=0.87),
        gpu_line("torch", "matmul f16 + topk 16:200", 1024, 300_000),
    ])
    assert "The card copies 4,000 GB/s" in table
    assert "| 1,000,000 | mrl gpu_scan 16b8:200 | 1 | 10,000 | 100.0 | 100.0 | 1.0000 of scan | 4 % |" in table
    assert "| mrl faiss_gpu IVF4096,Flat on 16:200 nprobe 16 | 64 | 9,000 | 7,111.1 | 100.0 | 0.8700 of exact |" in table
    assert "| torch matmul f16 + topk 16:200 | 1,024 | 300,000 |" in table
    assert "- 1 M queries/s at least: 1,500,000, met" in table
    assert "- recall of the scan 1.0: 1.0000, met" in table
    assert "- 10 times torch's matmul + topk at least: 5.0, missed" in table
    assert "- B = 1 under 60 µs (p50): 100.0, missed" in table


def test_gpu_table_says_what_was_not_measured(tmp_path):
    table = gpu_table(tmp_path, [])
    assert table.count("not measured") == 4


def test_gpu_bench_says_that_there_is_no_device(tmp_path):
    (tmp_path / "dirname").symlink_to(shutil.which("dirname"))
    ran = subprocess.run([shutil.which("bash"), BENCH / "gpu.sh", tmp_path / "out"], env={"PATH": str(tmp_path)},
                         capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 69
    assert ran.stderr == "bench/gpu.sh: there is no nvidia-smi: this needs a machine with a CUDA device and its driver\n"
    assert not (tmp_path / "out").exists()
