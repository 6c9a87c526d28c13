"""The benchmarks run; what they measure is no test's business."""

import json
import subprocess
import sys

from conftest import BIN

BENCH = BIN.parents[2] / "bench"


def test_search_bench_runs_on_made_up_rows(tmp_path):
    program = [sys.executable, BENCH / "search_bench.py", "--smoke", "--bin", BIN]
    ran = subprocess.run(program + ["--rivals", "Flat,Hnsw", "--results", tmp_path / "results.jsonl"],
                         capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "| recall wanted | engine |" in ran.stdout
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    ours = {line["target"]: line for line in lines if line["engine"] == "mrl"}
    assert set(ours) == {0.9, 0.95, 0.99}
    assert len(ours[0.95]["millis"]) == 2
