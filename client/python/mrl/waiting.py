"""Waiting for an operation that goes on after its call."""

from __future__ import annotations

import time

import grpc

from mrl import model
from mrl.errors import MrlError

_FIRST_S, _LONGEST_S = 0.02, 1.0


class Waits:
    """How long to wait before asking again: longer each time, until the limit has passed."""

    def __init__(self, timeout_s: float | None):
        self._wait = _FIRST_S
        self._timeout_s = timeout_s
        self._end = None if timeout_s is None else time.monotonic() + timeout_s

    def next(self) -> float:
        left = _LONGEST_S if self._end is None else self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the operation has not ended within {self._timeout_s} s")
        self._wait = min(self._wait * 1.5, _LONGEST_S)
        return min(self._wait, left)


def ended(operation: model.Operation) -> model.Operation:
    """The operation, or its error as one of a call."""
    if operation.error_code == 0:
        return operation
    codes = {code.value[0]: code for code in grpc.StatusCode}
    code = codes.get(operation.error_code, grpc.StatusCode.UNKNOWN)
    raise MrlError(code, operation.error_message)
