"""The RPCs of one channel, blocking or asyncio alike, and how to reach the server."""

from __future__ import annotations

import dataclasses
import pathlib

from google.longrunning import operations_pb2_grpc
import grpc

from mrl._proto.mrl.v1 import (
    collection_pb2_grpc,
    funnel_pb2_grpc,
    index_pb2_grpc,
    point_pb2_grpc,
    search_pb2_grpc,
    server_pb2_grpc,
    snapshot_pb2_grpc,
)

# A batch's chunk is about 1 MB and a single reply at most 4 MB; the request may have 64 MB.
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.max_send_message_length", 64 << 20),
]

# HealthCheckResponse with status = SERVING. Read by hand so that no package is needed for one byte.
_HEALTH_SERVING = b"\x08\x01"


@dataclasses.dataclass(frozen=True)
class Tls:
    """Paths of PEM files. Without `ca` the system's roots count; `cert` and `key` are the
    client's own, where the server asks for them."""

    ca: str | pathlib.Path | None = None
    cert: str | pathlib.Path | None = None
    key: str | pathlib.Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key are needed together")
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))


def metadata(api_key: str | None) -> tuple[tuple[str, str], ...] | None:
    """What each call carries."""
    return None if api_key is None else (("authorization", f"Bearer {api_key}"),)


class Stubs:
    def __init__(self, channel):
        self.search = search_pb2_grpc.SearchServiceStub(channel)
        self.collections = collection_pb2_grpc.CollectionServiceStub(channel)
        self.points = point_pb2_grpc.PointServiceStub(channel)
        self.funnels = funnel_pb2_grpc.FunnelServiceStub(channel)
        self.indexes = index_pb2_grpc.IndexServiceStub(channel)
        self.operations = operations_pb2_grpc.OperationsStub(channel)
        self.server = server_pb2_grpc.ServerServiceStub(channel)
        self.snapshots = snapshot_pb2_grpc.SnapshotServiceStub(channel)
        self.health = channel.unary_unary("/grpc.health.v1.Health/Check")


def is_serving(reply: bytes) -> bool:
    return reply == _HEALTH_SERVING


def _read(path) -> bytes | None:
    return None if path is None else pathlib.Path(path).read_bytes()
