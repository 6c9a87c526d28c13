"""The rival of gpu_scan: torch's matrix product (cuBLAS) in half precision, then topk. A JSON object
a line, as mrl-gpu-bench prints them."""
import argparse
import json
import sys
import time

DIMS, BATCHES, KEEP = (16, 64, 128), (1, 64, 1024, 10_000), 200
SCORE_BYTES_MAX = 8 << 30  # of one block of scores


def search(torch, base, queries):
    """The best KEEP rows of each query; batches whose scores do not fit are cut."""
    at_once = max(1, SCORE_BYTES_MAX // (2 * base.shape[0]))
    for begin in range(0, queries.shape[0], at_once):
        torch.topk(queries[begin:begin + at_once] @ base.T, KEEP, dim=1, sorted=False)


def measure(torch, base, queries, seconds):
    search(torch, base, queries)
    torch.cuda.synchronize()
    micros, total = [], 0.0
    while len(micros) < 3 or (total < seconds and len(micros) < 20_000):
        start = time.perf_counter()
        search(torch, base, queries)
        torch.cuda.synchronize()
        micros.append((time.perf_counter() - start) * 1e6)
        total += micros[-1] / 1e6
    return sorted(micros)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("left out: this Python has no torch", file=sys.stderr)
        return 0
    if not torch.cuda.is_available():
        print("left out: torch sees no CUDA device", file=sys.stderr)
        return 0
    torch.manual_seed(1)
    for dims in DIMS:
        base = torch.randn(args.rows, dims, dtype=torch.float16, device="cuda")
        for batch in BATCHES:
            queries = torch.randn(batch, dims, dtype=torch.float16, device="cuda")
            micros = measure(torch, base, queries, args.seconds)
            median = micros[len(micros) // 2]
            print(json.dumps({
                "engine": "torch", "what": f"matmul f16 + topk {dims}:{KEEP}", "rows": args.rows,
                "batch": batch, "queries_per_s": batch / median * 1e6, "p50_us": median,
                "p99_us": micros[len(micros) * 99 // 100], "runs": len(micros),
                "code_bytes": args.rows * dims * 2}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
