"""What the paper measures, on embeddings with labels. Prefixes are normalised after slicing.

AP@k divides by k and not by the number of relevant rows, as the authors' code does. A multiply-add
counts one; the first stage costs rows x dims, a stage after it candidates x dims.
"""
import numpy as np

BLOCK = 500


def prefix(x, dims):
    x = x[:, :dims]
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def top(database, queries, dims, count):
    """Rows of the largest cosines over a prefix, best first, and those cosines."""
    base = prefix(database, dims).T
    asked = prefix(queries, dims)
    rows = []
    for start in range(0, len(asked), BLOCK):
        scores = asked[start : start + BLOCK] @ base
        best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        rows.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(rows)


def rerank(database, queries, rows, dims, keep):
    """Each query's candidates sorted by a longer prefix."""
    kept = []
    for query, candidates in zip(prefix(queries, dims), rows):
        scores = prefix(database[candidates], dims) @ query
        kept.append(candidates[np.argsort(-scores, kind="stable")[:keep]])
    return np.stack(kept)


def funnel(database, queries, stages):
    """`stages`: (dims, keep) each. The last list, and its multiply-adds."""
    (dims, keep), *later = stages
    rows, cost = top(database, queries, dims, keep), len(database) * dims
    for dims, keep in later:
        cost += rows.shape[1] * dims
        rows = rerank(database, queries, rows, dims, keep)
    return rows, cost


def quality(rows, labels, wanted):
    """Of the first ten: top-1, mAP@10, P@10 in percent."""
    hits = labels[rows[:, :10]] == wanted[:, None]
    at = np.cumsum(hits, axis=1) / np.arange(1, 11)
    return {
        "top1": 100 * hits[:, 0].mean(),
        "map10": 100 * (at * hits).mean(),
        "p10": 100 * hits.mean(),
    }


def cascade(confidences, correct, thresholds, nesting):
    """Stops each row at the first prefix whose confidence passes: accuracy, expected dimension."""
    stopped = np.full(len(correct[0]), len(nesting) - 1)
    for level in reversed(range(len(nesting) - 1)):
        stopped[confidences[level] >= thresholds[level]] = level
    right = np.stack(correct)[stopped, np.arange(len(stopped))]
    return 100 * right.mean(), float(np.asarray(nesting)[stopped].mean())


def thresholds(confidences, correct, target):
    """Per prefix the least confidence above which at least `target` of the rows are right."""
    chosen = []
    for confidence, right in zip(confidences[:-1], correct[:-1]):
        order = np.argsort(-confidence, kind="stable")
        share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
        good = np.flatnonzero(share >= target)
        chosen.append(confidence[order[good[-1]]] if len(good) else np.inf)
    return chosen
