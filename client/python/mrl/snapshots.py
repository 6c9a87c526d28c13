"""Snapshots of collections that take writes: what both clients can do with them.

A method returns what its docstring says from the blocking client, and an awaitable of it from the
asyncio client.
"""

from __future__ import annotations

from mrl import model
from mrl._proto.mrl.v1 import snapshot_pb2
from mrl.indexes import operation

PIECE_BYTES = 1 << 20


def snapshot(message) -> model.Snapshot:
    return model.Snapshot(
        **{
            name: getattr(message, name)
            for name in model.Snapshot.__dataclass_fields__
            if name != "created_unix_s"
        },
        created_unix_s=message.create_time.seconds,
    )


def pieces(collection: str, name: str, file):
    """The requests of an upload; the first names the snapshot."""
    request = snapshot_pb2.UploadSnapshotRequest(collection=collection, name=name)
    while data := file.read(PIECE_BYTES):
        request.data = data
        yield request
        request = snapshot_pb2.UploadSnapshotRequest()


class SnapshotCalls:
    """Part of Client and AsyncClient, which bring `_run` and the two streams."""

    def create_snapshot(
        self, collection: str, name: str, *, timeout_s: float | None = None
    ) -> model.Snapshot:
        """The collection as it is now, kept under `name`; writes go on."""
        request = snapshot_pb2.CreateSnapshotRequest(collection=collection, name=name)
        return self._run(self._stubs.snapshots.CreateSnapshot, request, snapshot, timeout_s)

    def get_snapshot(
        self, collection: str, name: str, *, timeout_s: float | None = None
    ) -> model.Snapshot:
        request = snapshot_pb2.GetSnapshotRequest(collection=collection, name=name)
        return self._run(self._stubs.snapshots.GetSnapshot, request, snapshot, timeout_s)

    def list_snapshots(
        self, collection: str, *, timeout_s: float | None = None
    ) -> list[model.Snapshot]:
        """In order of names; of a collection that was deleted too."""
        request = snapshot_pb2.ListSnapshotsRequest(collection=collection)
        rpc = self._stubs.snapshots.ListSnapshots
        return self._run(
            rpc, request, lambda reply: list(map(snapshot, reply.snapshots)), timeout_s
        )

    def delete_snapshot(
        self, collection: str, name: str, *, timeout_s: float | None = None
    ) -> None:
        request = snapshot_pb2.DeleteSnapshotRequest(collection=collection, name=name)
        return self._run(self._stubs.snapshots.DeleteSnapshot, request, lambda _: None, timeout_s)

    def restore_snapshot(
        self, collection: str, name: str, target: str, *, timeout_s: float | None = None
    ) -> model.Operation:
        """Makes the new collection `target`, with what the snapshot has; `wait_operation` for its end."""
        request = snapshot_pb2.RestoreSnapshotRequest(
            collection=collection, name=name, target=target
        )
        rpc = self._stubs.snapshots.RestoreSnapshot
        return self._run(rpc, request, operation, timeout_s)
