"""Coarse indexes, and the operations that build them: what both clients can do with them.

A method returns what its docstring says from the blocking client, and an awaitable of it from the
asyncio client.
"""

from __future__ import annotations

from google.longrunning import operations_proto_pb2

from mrl import messages, model
from mrl._proto.mrl.v1 import collection_pb2, common_pb2, index_pb2, operation_pb2
from mrl.quality_messages import found


def _index(message) -> model.Index:
    spec = message.spec
    return model.Index(
        collection=message.collection,
        kind=spec.kind,
        dims=spec.dims,
        faiss_factory=spec.faiss_factory,
        lists=spec.lists,
        degree=spec.degree,
        code=f"{spec.code.dims}b{spec.code.bits}" if spec.HasField("code") else "",
        active=message.active,
        memory_bytes=message.memory_bytes,
        segments=message.segments,
    )


def _compaction(message) -> model.Compaction:
    return model.Compaction(
        segments=message.segments, rows=message.rows, rows_written=message.rows_written
    )


# What an operation may end with.
_RESPONSES = (
    (index_pb2.Index, _index),
    (collection_pb2.Collection, messages.collection),
    (collection_pb2.CompactCollectionResponse, _compaction),
)


def _result(message):
    for kind, convert in _RESPONSES:
        made = kind()
        if message.response.Unpack(made):
            return convert(made)
    return found(message.response)


def operation(message) -> model.Operation:
    metadata = operation_pb2.OperationMetadata()
    message.metadata.Unpack(metadata)
    return model.Operation(
        name=message.name,
        method=metadata.method,
        collection=metadata.collection,
        rows_done=metadata.rows_done,
        rows=metadata.rows,
        cancel_requested=metadata.cancel_requested,
        done=message.done,
        error_code=message.error.code,
        error_message=message.error.message,
        result=_result(message) if message.WhichOneof("result") == "response" else None,
    )


class IndexCalls:
    """Part of Client and AsyncClient, which bring `_run(rpc, request, convert, timeout_s)`."""

    def build_index(
        self,
        collection: str,
        kind: str,
        *,
        dims: int = 0,
        faiss_factory: str = "",
        lists: int = 0,
        degree: int = 0,
        code: str = "",
        activate: bool = False,
        validate_only: bool = False,
        timeout_s: float | None = None,
    ) -> model.Operation:
        """Starts the build of `ivf_scan`, `graph` or `faiss`; ask get_operation how it goes. With
        `validate_only` it is checked only, and the operation's index says what it would take. `dims` may
        be left out but for `faiss`, and there for a product quantiser (`OPQ32,PQ32`), whose prefix is measured."""
        spec = index_pb2.IndexSpec(
            kind=kind, dims=dims, faiss_factory=faiss_factory, lists=lists, degree=degree
        )
        if code:
            code_dims, _, bits = code.partition("b")
            spec.code.CopyFrom(common_pb2.Code(dims=int(code_dims), bits=int(bits)))
        request = index_pb2.BuildIndexRequest(
            collection=collection, spec=spec, activate=activate, validate_only=validate_only
        )
        return self._run(self._stubs.indexes.BuildIndex, request, operation, timeout_s)

    def activate_index(
        self, collection: str, kind: str, *, timeout_s: float | None = None
    ) -> model.Index:
        """Makes a kind the one that searches use unless their funnel names another."""
        request = index_pb2.ActivateIndexRequest(collection=collection, kind=kind)
        return self._run(self._stubs.indexes.ActivateIndex, request, _index, timeout_s)

    def list_indexes(
        self, collection: str, *, timeout_s: float | None = None
    ) -> list[model.Index]:
        """The active one first."""
        request = index_pb2.ListIndexesRequest(collection=collection)
        return self._run(
            self._stubs.indexes.ListIndexes,
            request,
            lambda reply: list(map(_index, reply.indexes)),
            timeout_s,
        )

    def delete_index(self, collection: str, kind: str, *, timeout_s: float | None = None) -> None:
        """Removes an index that is not the active one."""
        request = index_pb2.DeleteIndexRequest(collection=collection, kind=kind)
        return self._run(self._stubs.indexes.DeleteIndex, request, lambda _: None, timeout_s)

    def get_operation(self, name: str, *, timeout_s: float | None = None) -> model.Operation:
        request = operations_proto_pb2.GetOperationRequest(name=name)
        return self._run(self._stubs.operations.GetOperation, request, operation, timeout_s)

    def list_operations(
        self, *, page_size: int = 0, page_token: str = "", timeout_s: float | None = None
    ) -> tuple[list[model.Operation], str]:
        """One page, and the token of the next; "" after the last."""
        request = operations_proto_pb2.ListOperationsRequest(
            name="operations", page_size=page_size, page_token=page_token
        )
        return self._run(
            self._stubs.operations.ListOperations,
            request,
            lambda reply: (list(map(operation, reply.operations)), reply.next_page_token),
            timeout_s,
        )

    def cancel_operation(self, name: str, *, timeout_s: float | None = None) -> None:
        """Asks it to stop; it ends with CANCELLED unless it was done first."""
        request = operations_proto_pb2.CancelOperationRequest(name=name)
        return self._run(self._stubs.operations.CancelOperation, request, lambda _: None, timeout_s)

    def delete_operation(self, name: str, *, timeout_s: float | None = None) -> None:
        """Forgets an operation that has ended."""
        request = operations_proto_pb2.DeleteOperationRequest(name=name)
        return self._run(self._stubs.operations.DeleteOperation, request, lambda _: None, timeout_s)
