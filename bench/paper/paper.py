#!/usr/bin/env python3
"""The experiments of the MRL paper on data that fits a laptop, beside the paper's figures.

    paper.py --digits FILE [--wordnet DIR] [--bin DIR] [--json FILE]

`--digits`: digits.csv.gz or a scikit-learn wheel. `--wordnet`: a folder with base.npy and
wordnet_rows.tsv.gz. Heads are trained with the MRL and MRL-E losses (heads.py), the database is what
they were trained on, queries were never seen. With `--bin` the same funnels also run through
mrl-index, for wall clock and to hold its multiply-adds against those counted here.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import measures
import numpy as np
import sets
from heads import Head

K = 200
# ImageNet-1K, ResNet50, D_s = 16, D_r = 2048: 1-NN from the paper's text, mAP@10 read off its figures.
PAPER = """| the paper, ImageNet-1K (1.28 M rows, 2048 dims) | mAP@10 | multiply-adds a query |
|---|---|---|
| single shot, 2048 dims | 65.20 | 2,624 M |
| single shot, 16 dims | 62.9 | 20.5 M |
| AR 16 → 2048, K = 200 | 65.27 | 20.9 M (128x fewer; 14x wall clock) |
| funnel from 16 | 65.19 | 20.5 M |
| adaptive classification | accuracy of a rigid 512 (76.3 %) | at 37 expected dims |"""


def shapes(nesting):
    """The paper's plans, scaled: AR from each short prefix, and its halving funnel."""
    full = nesting[-1]
    plans = {f"single shot, {full} dims": [(full, 10)]}
    for start in nesting[:-2]:
        plans[f"AR {start} → {full}, K = {K}"] = [(start, K), (full, 10)]
    for start in nesting[:-3]:
        later = [d for d in nesting if d > start]
        keeps = [max(10, K // 2**i) for i in range(len(later))] + [10]
        plans[f"funnel from {start}"] = list(zip([start, *later], keeps))
    return plans


def table(rows):
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in body])


def per_dimension(data, heads, nesting):
    rows = [("dims", *[f"{name} {what}" for name in heads for what in ("1-NN", "mAP@10", "P@10")])]
    for dims in nesting:
        row = [dims]
        for _, base, asked in heads.values():
            found = measures.top(base, asked, dims, 10)
            of = measures.quality(found, data.database[1], data.queries[1])
            row += [f"{of[key]:.2f}" for key in ("top1", "map10", "p10")]
        rows.append(row)
    return rows


def plans_table(data, base, asked, nesting):
    rows = [("plan", "1-NN", "mAP@10", "P@10", "multiply-adds", "fewer")]
    whole = len(base) * nesting[-1]
    for name, stages in shapes(nesting).items():
        found, cost = measures.funnel(base, asked, stages)
        of = measures.quality(found, data.database[1], data.queries[1])
        rows.append((name, *[f"{of[key]:.2f}" for key in ("top1", "map10", "p10")], f"{cost:,}",
                     f"{whole / cost:.1f}x"))
    return rows


def adaptive(data, head, nesting):
    def judged(part):
        embedding = head.embed(part[0])
        levels = [head.probabilities(embedding, i) for i in range(len(nesting))]
        return [p.max(axis=1) for p in levels], [p.argmax(axis=1) == part[1] for p in levels]

    held = judged(data.hold_out)
    confidences, correct = judged(data.queries)
    rows = [("wanted above a threshold", "accuracy", "expected dims")]
    for i, dims in enumerate(nesting):
        rows.append((f"always {dims} dims", f"{100 * correct[i].mean():.2f}", dims))
    for target in (0.8, 0.9, 0.95, 0.98, 0.99, 0.995):
        chosen = measures.thresholds(*held, target)
        accuracy, dims = measures.cascade(confidences, correct, chosen, nesting)
        rows.append((f"{target}", f"{accuracy:.2f}", f"{dims:.1f}"))
    return rows


def engine(binaries, base, asked, nesting):
    """The same plans through mrl-index: milliseconds, and its count of multiply-adds."""
    rows = [("plan", "recall@10", "ms a query", "multiply-adds by the engine")]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.save(folder / "base.npy", base)
        np.save(folder / "queries.npy", asked)
        program = binaries / "mrl-index"
        dims = ",".join(map(str, nesting))
        codes = ",".join(f"{d}b8" for d in nesting)  # a plan's first stage reads its own
        subprocess.run([program, "build", "--input", folder / "base.npy", "--dims", dims, "--codes",
                        codes, "--output", folder / "index"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        for name, stages in shapes(nesting).items():
            text = "scan/" + ",".join(f"{d}:{k}" for d, k in stages)
            ran = subprocess.run([program, "eval", "--index", folder / "index", "--queries",
                                  folder / "queries.npy", "--funnel", text, "--json"],
                                 check=True, capture_output=True, text=True)  # fmt: skip
            one = json.loads(ran.stdout)
            counted = len(base) * stages[0][0]
            counted += sum(k * d for (_, k), (d, _) in zip(stages, stages[1:]))
            assert one["multiply_adds"] == counted, (one, counted)
            rows.append((name, f"{one['recall']:.4f}", f"{one['mean_ms']:.3f}",
                         f"{one['multiply_adds']:,.0f}"))
    return rows


def run(data, nesting, hidden, epochs, binaries):
    heads = {}
    for name, tied in (("MRL", False), ("MRL-E", True)):
        head = Head(data.database[0].shape[1], hidden, nesting, data.classes, tied, seed=1)
        head.train(*data.database, epochs=epochs, seed=2)
        heads[name] = (head, head.embed(data.database[0]), head.embed(data.queries[0]))
    head, base, asked = heads["MRL"]
    tables = {
        "Each prefix alone": per_dimension(data, heads, nesting),
        "Plans, MRL": plans_table(data, base, asked, nesting),
        "Adaptive classification, MRL": adaptive(data, head, nesting),
    }
    if binaries:
        tables["The engine"] = engine(binaries, base, asked, nesting)
    print(f"\n### {data.name}: {len(base):,} rows, {len(asked):,} queries, {data.classes} classes\n")
    for title, rows in tables.items():
        print(f"{title}\n\n{table(rows)}\n")
    return {title: [list(map(str, row)) for row in rows] for title, rows in tables.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--digits")
    parser.add_argument("--wordnet")
    parser.add_argument("--rows", type=int, default=60_000, help="of WordNet")
    parser.add_argument("--epochs", type=int, default=10, help="of WordNet; digits take 100")
    parser.add_argument("--bin", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    results = {}
    if args.digits:
        results["digits"] = run(sets.digits(args.digits), [4, 8, 16, 32, 64], 256, 100, args.bin)
    if args.wordnet:
        data = sets.wordnet(args.wordnet, args.rows)
        nesting = [8, 16, 32, 64, 128, 256]
        results["wordnet"] = run(data, nesting, 512, args.epochs, args.bin)
    print(PAPER)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
