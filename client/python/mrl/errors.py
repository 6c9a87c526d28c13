"""The one error that a call raises."""

import grpc


class MrlError(Exception):
    """A call that failed: `code` is a grpc.StatusCode, `message` the server's words."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message

    @classmethod
    def from_rpc(cls, error: grpc.RpcError) -> "MrlError":
        return cls(error.code(), error.details() or "")
