"""Collections that take writes: what both clients can do with them.

A method returns what its docstring says from the blocking client, and an awaitable of it from the
asyncio client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import json
from typing import Any

import numpy as np

from mrl import messages, model
from mrl._proto.mrl.v1 import collection_pb2, common_pb2, point_pb2
from mrl.indexes import operation

_METRICS = {"cosine": "METRIC_COSINE", "ip": "METRIC_INNER_PRODUCT", "l2": "METRIC_L2"}
_STORAGE = {kind: f"STORAGE_TYPE_{kind.upper()}" for kind in ("f32", "f16", "bf16", "int8")}
_FIELDS = {
    kind: f"FIELD_TYPE_{kind.upper()}" for kind in ("keyword", "int", "float", "bool", "datetime")
}
_TRANSFORMS = {"none": "TRANSFORM_NONE", "layer_norm": "TRANSFORM_LAYER_NORM"}


def _word(words: Mapping[str, str], kind: str, value: str) -> str:
    if value not in words:
        raise ValueError(f"{kind} is {value!r}; one of {', '.join(words)} is needed")
    return words[value]


def _durability(durable: bool) -> int:
    return point_pb2.DURABILITY_SYNC if durable else point_pb2.DURABILITY_ASYNC


def _json(payload: Mapping[str, Any] | None) -> str:
    return "" if payload is None else json.dumps(payload, ensure_ascii=False)


def create_request(
    name,
    dim,
    *,
    ladder=(),
    metric="cosine",
    storage="f32",
    transform="none",
    codes=None,
    fields=None,
) -> collection_pb2.CreateCollectionRequest:
    request = collection_pb2.CreateCollectionRequest(
        name=name,
        dim=dim,
        ladder=ladder,
        metric=_word(_METRICS, "metric", metric),
        storage=_word(_STORAGE, "storage", storage),
        transform=_word(_TRANSFORMS, "transform", transform),
        no_codes=codes is not None and not codes,
    )
    for code in codes or ():
        dims, _, bits = code.partition("b")
        request.codes.append(common_pb2.Code(dims=int(dims), bits=int(bits)))
    add_fields(request, fields or {})
    return request


def add_fields(message, fields: Mapping[str, str]) -> None:
    for field, kind in fields.items():
        message.fields.add(name=field, type=_word(_FIELDS, "type", kind))


def point_writes(
    ids, vectors, payloads=None, if_absent=False, if_sequences=None
) -> list[point_pb2.PointWrite]:
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise ValueError(f"vectors has shape {vectors.shape}; a row for each of {len(ids)} ids")
    for name, values in (("payloads", payloads), ("if_sequences", if_sequences)):
        if values is not None and len(values) != len(ids):
            raise ValueError(f"{name} has {len(values)} entries; {len(ids)} ids were given")
    points = []
    for i, id in enumerate(ids):
        point = point_pb2.PointWrite(id=messages.point_id(id), vector=messages.vector(vectors[i]))
        if payloads is not None:
            point.payload_json = _json(payloads[i])
        if if_sequences is not None:
            point.if_sequence = if_sequences[i]
        elif if_absent:
            point.if_absent = True
        points.append(point)
    return points


def point(message) -> model.Point:
    return model.Point(
        id=messages.id_value(message.id),
        sequence=message.sequence,
        payload=json.loads(message.payload_json) if message.payload_json else None,
        vector=messages.vector_value(message.vector) if message.HasField("vector") else None,
    )


def _written(message) -> model.Written:
    sample = getattr(message, "sample", ())
    return model.Written(
        sequence=message.sequence,
        points=message.points,
        sample=list(map(messages.id_value, sample)),
    )


def write_requests(collection, batches, durable):
    """The requests of a stream of writes; `batches` gives (ids, vectors, payloads)."""
    for ids, vectors, payloads in batches:
        yield point_pb2.WritePointsRequest(
            collection=collection,
            upserts=point_writes(ids, vectors, payloads),
            durability=_durability(durable),
        )


def batch_written(message) -> model.BatchWritten:
    return model.BatchWritten(
        sequence=message.sequence,
        points=message.points,
        failures={one.index: one.message for one in message.failures},
    )


class LiveCalls:
    """Part of Client and AsyncClient, which bring `_run(rpc, request, convert, timeout_s)`."""

    def create_collection(
        self,
        name: str,
        dim: int,
        *,
        ladder: Sequence[int] = (),
        metric: str = "cosine",
        storage: str = "f32",
        transform: str = "none",
        codes: Sequence[str] | None = None,
        fields: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> model.Collection:
        """The new, empty collection. `codes` such as ["16b8"]; [] stores none.

        `fields`: payload fields that filters may name, such as {"year": "int"}; the types are
        keyword, int, float, bool and datetime.
        """
        request = create_request(
            name,
            dim,
            ladder=ladder,
            metric=metric,
            storage=storage,
            transform=transform,
            codes=codes,
            fields=fields,
        )
        rpc = self._stubs.collections.CreateCollection
        return self._run(rpc, request, messages.collection, timeout_s)

    def delete_collection(self, name: str, *, timeout_s: float | None = None) -> None:
        """Removes the collection with all its points and aliases."""
        request = collection_pb2.DeleteCollectionRequest(name=name)
        rpc = self._stubs.collections.DeleteCollection
        return self._run(rpc, request, lambda _: None, timeout_s)

    def update_collection(
        self,
        name: str,
        *,
        fields: Mapping[str, str],
        validate_only: bool = False,
        timeout_s: float | None = None,
    ) -> model.Operation:
        """Replaces the fields that filters may name, such as {"year": "int"}; `wait_operation` for its end."""
        request = collection_pb2.UpdateCollectionRequest(validate_only=validate_only)
        request.collection.name = name
        add_fields(request.collection, fields)
        request.update_mask.paths.append("fields")
        rpc = self._stubs.collections.UpdateCollection
        return self._run(rpc, request, operation, timeout_s)

    def compact_collection(
        self, name: str, *, timeout_s: float | None = None
    ) -> model.Operation:
        """Merges all segments, without the points that were deleted; `wait_operation` for its end."""
        request = collection_pb2.CompactCollectionRequest(collection=name)
        rpc = self._stubs.collections.CompactCollection
        return self._run(rpc, request, operation, timeout_s)

    def reload_collection(self, name: str, *, timeout_s: float | None = None) -> model.Collection:
        """Opens what lies in its directory now: a new version of a built one, or one that did not
        open."""
        request = collection_pb2.ReloadCollectionRequest(name=name)
        rpc = self._stubs.collections.ReloadCollection
        return self._run(rpc, request, messages.collection, timeout_s)

    def update_aliases(
        self, changes: Mapping[str, str | None], *, timeout_s: float | None = None
    ) -> dict[str, str]:
        """Every alias after the change, which is one step; a target of None removes an alias."""
        request = collection_pb2.BatchUpdateAliasesRequest()
        for alias, name in changes.items():
            request.changes.add(alias=alias, collection=name or "")
        rpc = self._stubs.collections.BatchUpdateAliases
        return self._run(rpc, request, lambda reply: dict(reply.aliases), timeout_s)

    def aliases(self, *, timeout_s: float | None = None) -> dict[str, str]:
        """Alias to name of the collection."""
        request = collection_pb2.ListAliasesRequest()
        rpc = self._stubs.collections.ListAliases
        return self._run(rpc, request, lambda reply: dict(reply.aliases), timeout_s)

    def upsert(
        self,
        collection: str,
        ids: Sequence[model.PointId],
        vectors,
        payloads: Sequence[Mapping[str, Any] | None] | None = None,
        *,
        durable: bool = True,
        if_absent: bool = False,
        if_sequences: Sequence[int] | None = None,
        timeout_s: float | None = None,
    ) -> model.Written:
        """Writes all points or none. `durable=False` does not wait for the disk."""
        request = point_pb2.UpsertPointsRequest(
            collection=collection,
            points=point_writes(ids, vectors, payloads, if_absent, if_sequences),
            durability=_durability(durable),
        )
        return self._run(self._stubs.points.UpsertPoints, request, _written, timeout_s)

    def delete(
        self,
        collection: str,
        ids: Iterable[model.PointId] = (),
        *,
        filter: str | None = None,
        durable: bool = True,
        validate_only: bool = False,
        timeout_s: float | None = None,
    ) -> model.Written:
        """How many of the points were there and are deleted: those of `ids` or of a filter."""
        request = point_pb2.DeletePointsRequest(
            collection=collection,
            ids=map(messages.point_id, ids),
            durability=_durability(durable),
            validate_only=validate_only,
        )
        messages.set_filter(request, filter)
        return self._run(self._stubs.points.DeletePoints, request, _written, timeout_s)

    def update_payloads(
        self,
        collection: str,
        payloads: Mapping[model.PointId, Mapping[str, Any] | None],
        *,
        durable: bool = True,
        timeout_s: float | None = None,
    ) -> model.Written:
        """Replaces payloads of points that are there; their vectors stay."""
        request = point_pb2.UpdatePayloadRequest(
            collection=collection, durability=_durability(durable)
        )
        for id, payload in payloads.items():
            request.items.add(id=messages.point_id(id), payload_json=_json(payload))
        return self._run(self._stubs.points.UpdatePayload, request, _written, timeout_s)

    def get(
        self,
        collection: str,
        ids: Iterable[model.PointId],
        *,
        with_vector: bool = True,
        with_payload: bool = True,
        min_sequence: int = 0,
        timeout_s: float | None = None,
    ) -> list[model.Point]:
        """The points that are there, in order of `ids`."""
        request = point_pb2.BatchGetPointsRequest(
            collection=collection,
            ids=map(messages.point_id, ids),
            with_vector=with_vector,
            with_payload=with_payload,
            min_sequence=min_sequence,
        )
        rpc = self._stubs.points.BatchGetPoints
        return self._run(rpc, request, lambda reply: list(map(point, reply.points)), timeout_s)

    def list_points(
        self,
        collection: str,
        *,
        page_size: int = 0,
        page_token: str = "",
        filter: str | None = None,
        with_vector: bool = False,
        with_payload: bool = True,
        timeout_s: float | None = None,
    ) -> tuple[list[model.Point], str]:
        """One page in order of writes, and the token of the next; "" after the last."""
        request = point_pb2.ListPointsRequest(
            collection=collection,
            page_size=page_size,
            page_token=page_token,
            with_vector=with_vector,
            with_payload=with_payload,
        )
        messages.set_filter(request, filter)
        return self._run(
            self._stubs.points.ListPoints,
            request,
            lambda reply: (list(map(point, reply.points)), reply.next_page_token),
            timeout_s,
        )

    def count(
        self, collection: str, *, filter: str | None = None, timeout_s: float | None = None
    ) -> int:
        """Points in the collection, or those of them that match."""
        request = point_pb2.CountPointsRequest(collection=collection)
        messages.set_filter(request, filter)
        rpc = self._stubs.points.CountPoints
        return self._run(rpc, request, lambda reply: reply.points, timeout_s)
