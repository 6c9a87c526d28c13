"""Prints the lines of gpu.sh as tables, and what became of the targets.

    gpu_table.py gpu.jsonl
"""
import json
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def share(line, card):
    """Bytes of codes read per second against the card's copy, which counts both ways."""
    if not card:
        return ""
    return f"{100 * line['code_bytes'] / line['p50_us'] * 1e6 / card:.0f} %"


def print_table(lines, card):
    print("| rows | what | B | queries/s | p50 µs | p99 µs | recall | codes once, of the card's copy |")
    print("|---|---|---|---|---|---|---|---|")
    for line in lines:
        recall = next((f"{line[key]:.4f} of {key.removeprefix('recall_of_')}"
                       for key in ("recall_of_scan", "recall_of_exact") if key in line), "")
        print(f"| {line['rows']:,} | {line['engine']} {line['what']} | {line['batch']:,} "
              f"| {line['queries_per_s']:,.0f} | {line['p50_us']:,.1f} | {line['p99_us']:,.1f} "
              f"| {recall} | {share(line, card)} |")


def find(lines, what, batch, rows=1_000_000):
    for line in lines:
        if line["what"] == what and line["batch"] == batch and line["rows"] == rows:
            return line
    return None


def print_targets(lines):
    """The targets, each with what was measured, or that it was not."""
    many = find(lines, "gpu_scan 16b8:200", 1024)
    one = find(lines, "gpu_scan 16b8:200", 1)
    rival = find(lines, "matmul f16 + topk 16:200", 1024)
    times = many["queries_per_s"] / rival["queries_per_s"] if many and rival else None
    targets = [
        ("1 M queries/s at least", many and many["queries_per_s"], lambda value: value >= 1e6, ",.0f"),
        ("recall of the scan 1.0", many and many["recall_of_scan"], lambda value: value == 1, ".4f"),
        ("10 times torch's matmul + topk at least", times, lambda value: value >= 10, ".1f"),
        ("B = 1 under 60 µs (p50)", one and one["p50_us"], lambda value: value < 60, ".1f"),
    ]
    print("\nTargets, at 1 M rows, 16 dims in 8 bits, keep 200, B = 1024 where nothing else is said:\n")
    for name, value, reached, form in targets:
        verdict = "not measured" if value is None else f"{value:{form}}, {'met' if reached(value) else 'missed'}"
        print(f"- {name}: {verdict}")


def main():
    lines = read(sys.argv[1])
    cards = [line["bytes_per_s"] for line in lines if line["engine"] == "card"]
    measured = [line for line in lines if line["engine"] != "card"]
    if cards:
        print(f"The card copies {max(cards) / 1e9:,.0f} GB/s, bytes read and written.\n")
    print_table(measured, max(cards, default=0))
    print_targets(measured)


if __name__ == "__main__":
    main()
