"""Heads trained with the Matryoshka losses, in numpy.

"Matryoshka Representation Learning" (NeurIPS 2022), section 3: the loss is the sum over the nested
prefixes of the cross entropy of a linear classifier on that prefix. MRL has a classifier for each
prefix, MRL-E one whose first rows all prefixes share.
"""
import numpy as np

BATCH = 256
RATE = 2e-3
DECAY = 1e-4


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Adam:
    def __init__(self, parameters):
        self.parameters = parameters
        self.mean = [np.zeros_like(p) for p in parameters]
        self.square = [np.zeros_like(p) for p in parameters]
        self.steps = 0

    def step(self, gradients, rate):
        self.steps += 1
        for p, g, m, s in zip(self.parameters, gradients, self.mean, self.square):
            m += 0.1 * (g - m)
            s += 0.001 * (g * g - s)
            mean, square = m / (1 - 0.9**self.steps), s / (1 - 0.999**self.steps)
            p -= rate * (mean / (np.sqrt(square) + 1e-8) + DECAY * p)


class Head:
    """relu(x W1 + b1) W2: the embedding; then classifiers on its prefixes."""

    def __init__(self, inputs, hidden, nesting, classes, tied, seed):
        rng = np.random.default_rng(seed)
        dim = nesting[-1]
        self.nesting, self.tied = nesting, tied
        self.w1 = (rng.standard_normal((inputs, hidden)) * np.sqrt(2 / inputs)).astype(np.float32)
        self.b1 = np.zeros(hidden, np.float32)
        self.w2 = (rng.standard_normal((hidden, dim)) / np.sqrt(hidden)).astype(np.float32)
        widths = [dim] if tied else nesting
        self.classifiers = [
            (rng.standard_normal((w, classes)) / np.sqrt(w)).astype(np.float32) for w in widths
        ]

    def embed(self, x):
        return np.maximum(x @ self.w1 + self.b1, 0) @ self.w2

    def classifier(self, level):
        return self.classifiers[0][: self.nesting[level]] if self.tied else self.classifiers[level]

    def probabilities(self, embedding, level):
        return softmax(embedding[:, : self.nesting[level]] @ self.classifier(level))

    def gradients(self, x, labels):
        hidden = np.maximum(x @ self.w1 + self.b1, 0)
        embedding = hidden @ self.w2
        of_embedding = np.zeros_like(embedding)
        of_classifiers = [np.zeros_like(c) for c in self.classifiers]
        for level, width in enumerate(self.nesting):
            classifier = self.classifier(level)
            error = softmax(embedding[:, :width] @ classifier)
            error[np.arange(len(x)), labels] -= 1
            error /= len(x)
            of_classifiers[0 if self.tied else level][:width] += embedding[:, :width].T @ error
            of_embedding[:, :width] += error @ classifier.T
        of_hidden = of_embedding @ self.w2.T * (hidden > 0)
        return [x.T @ of_hidden, of_hidden.sum(axis=0), hidden.T @ of_embedding, *of_classifiers]

    def train(self, x, labels, epochs, seed):
        rng = np.random.default_rng(seed)
        adam = Adam([self.w1, self.b1, self.w2, *self.classifiers])
        for epoch in range(epochs):
            rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
            order = rng.permutation(len(x))
            for start in range(0, len(x), BATCH):
                rows = order[start : start + BATCH]
                adam.step(self.gradients(x[rows], labels[rows]), rate)
        return self
