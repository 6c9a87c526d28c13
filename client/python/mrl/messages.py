"""Between Python values and API messages; both clients go through here."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable

import numpy as np

from mrl import model
from mrl._proto.mrl.v1 import collection_pb2, common_pb2, filter_pb2, search_pb2


def point_id(value: model.PointId) -> common_pb2.PointId:
    if isinstance(value, str):
        return common_pb2.PointId(text=value)
    return common_pb2.PointId(number=int(value))


def id_value(message) -> model.PointId:
    return message.text if message.WhichOneof("id") == "text" else message.number


def vector(array) -> common_pb2.Vector:
    """float16 stays as it is; everything else is sent as float32."""
    array = np.asarray(array)
    if array.dtype == np.float16:
        return common_pb2.Vector(data=array.astype("<f2").tobytes(), dtype=common_pb2.DTYPE_F16)
    return common_pb2.Vector(data=array.astype("<f4").tobytes(), dtype=common_pb2.DTYPE_F32)


def vector_value(message) -> np.ndarray:
    kind = "<f2" if message.dtype == common_pb2.DTYPE_F16 else "<f4"
    return np.frombuffer(message.data, dtype=kind)


def set_filter(message, text: str | None) -> None:
    if text is not None:
        message.filter = text


def options(
    *,
    k,
    funnel,
    exact,
    score_threshold,
    profile=None,
    with_payload=False,
    with_vector=False,
    min_sequence=0,
    filter=None,
    offset=0,
    group_by=None,
    group_size=0,
    anytime=False,
    early_exit=None,
    adaptive_keep=None,
):
    ways = {"funnel": funnel is not None, "profile": profile is not None, "exact": bool(exact)}
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} were both given; a search runs one of them")
    message = search_pb2.SearchOptions(
        k=k,
        with_payload=with_payload,
        with_vector=with_vector,
        min_sequence=min_sequence,
        offset=offset,
        group_by=group_by or "",
        group_size=group_size,
        anytime=anytime,
        early_exit=early_exit,
        adaptive_keep=adaptive_keep,
    )
    if funnel is not None:
        message.funnel_text = funnel
    elif profile is not None:
        message.profile = profile
    elif exact:
        message.exact = True
    if score_threshold is not None:
        message.score_threshold = score_threshold
    set_filter(message, filter)
    return message


def search_request(
    collection,
    query=None,
    *,
    id=None,
    k=10,
    funnel=None,
    profile=None,
    exact=False,
    include_self=False,
    score_threshold=None,
    with_payload=True,
    with_vector=False,
    min_sequence=0,
    filter=None,
    offset=0,
    group_by=None,
    group_size=0,
    anytime=False,
    early_exit=None,
    adaptive_keep=None,
) -> search_pb2.SearchRequest:
    if (query is None) == (id is None):
        raise ValueError("a search takes either a vector or an id")
    # Its rows end to end would pass for one vector of a longer ladder step.
    if query is not None and np.ndim(query) != 1:
        raise ValueError(f"vector has {np.ndim(query)} axes; a search takes 1, batch_search takes 2")
    request = search_pb2.SearchRequest(
        collection=collection,
        include_self=include_self,
        options=options(
            k=k,
            funnel=funnel,
            profile=profile,
            exact=exact,
            score_threshold=score_threshold,
            with_payload=with_payload,
            with_vector=with_vector,
            min_sequence=min_sequence,
            filter=filter,
            offset=offset,
            group_by=group_by,
            group_size=group_size,
            anytime=anytime,
            early_exit=early_exit,
            adaptive_keep=adaptive_keep,
        ),
    )
    if id is not None:
        request.id.CopyFrom(point_id(id))
    else:
        request.vector.CopyFrom(vector(query))
    return request


def batch_request(
    collection,
    queries,
    k=10,
    *,
    funnel=None,
    profile=None,
    exact=False,
    score_threshold=None,
    filter=None,
) -> search_pb2.BatchSearchRequest:
    queries = np.asarray(queries)
    if queries.ndim != 2:
        raise ValueError(f"queries has {queries.ndim} axes; a batch is a matrix of 2")
    return search_pb2.BatchSearchRequest(
        collection=collection,
        queries=vector(queries),
        rows=queries.shape[0],
        options=options(
            k=k,
            funnel=funnel,
            profile=profile,
            exact=exact,
            score_threshold=score_threshold,
            filter=filter,
        ),
    )


def classify_request(collection, query, field, *, id, k, confidence) -> search_pb2.ClassifyRequest:
    if (query is None) == (id is None):
        raise ValueError("a classification takes either a vector or an id")
    request = search_pb2.ClassifyRequest(
        collection=collection, field=field, k=k, confidence=confidence
    )
    if id is not None:
        request.id.CopyFrom(point_id(id))
    else:
        request.vector.CopyFrom(vector(query))
    return request


def classification(message) -> model.Classification:
    return model.Classification(
        stats=search_stats(message.stats), **_fields(model.Classification, message, ("stats",))
    )


def explain_request(
    search, why_not: Iterable[model.PointId], compare_exact: bool
) -> search_pb2.ExplainSearchRequest:
    return search_pb2.ExplainSearchRequest(
        search=search, why_not=[point_id(i) for i in why_not], compare_exact=compare_exact
    )


def hit(message) -> model.Hit:
    return model.Hit(
        id=id_value(message.id),
        score=message.score,
        payload=json.loads(message.payload_json) if message.payload_json else None,
        vector=vector_value(message.vector) if message.HasField("vector") else None,
        group=_filter_value(message.group) if message.HasField("group") else None,
    )


def _filter_value(message):
    kind = message.WhichOneof("value")
    return message.time.ToDatetime(datetime.UTC) if kind == "time" else getattr(message, kind)


def search_stats(message) -> model.SearchStats:
    optional = ("rows_matched", "early_exit_recall", "adaptive_keep_recall")
    return model.SearchStats(
        stages=[_plain(model.StageStats, stage) for stage in message.stages],
        **{name: getattr(message, name) if message.HasField(name) else None for name in optional},
        **_fields(model.SearchStats, message, skip=("stages", *optional)),
    )


def search_result(message) -> model.SearchResult:
    return model.SearchResult([hit(h) for h in message.hits], search_stats(message.stats))


def explanation(message) -> model.Explanation:
    return model.Explanation(
        result=search_result(message.result),
        why_not=[_why_not(w) for w in message.why_not],
        recall=message.recall if message.HasField("recall") else None,
    )


class BatchRows:
    """Collects the chunks of a batch; the hits of one row may lie in several."""

    def __init__(self, rows: int):
        self._ids: list[list[model.PointId]] = [[] for _ in range(rows)]
        self._scores: list[list[float]] = [[] for _ in range(rows)]

    def add(self, response) -> None:
        for result in response.results:
            self._ids[result.row].extend(id_value(h.id) for h in result.hits)
            self._scores[result.row].extend(h.score for h in result.hits)

    def arrays(self) -> tuple[list[list[model.PointId]], np.ndarray]:
        """Scores as one float32 matrix, NaN where a row has fewer hits than the longest."""
        width = max((len(row) for row in self._scores), default=0)
        scores = np.full((len(self._scores), width), np.nan, dtype=np.float32)
        for row, values in enumerate(self._scores):
            scores[row, : len(values)] = values
        return self._ids, scores


def collection(message) -> model.Collection:
    words = {
        "state": (collection_pb2.Collection.State, "STATE_"),
        "metric": (common_pb2.Metric, "METRIC_"),
        "storage": (common_pb2.StorageType, "STORAGE_TYPE_"),
        "transform": (common_pb2.Transform, "TRANSFORM_"),
    }
    return model.Collection(
        ladder=list(message.ladder),
        kinds=list(message.kinds),
        aliases=list(message.aliases),
        fields={
            field.name: filter_pb2.FieldType.Name(field.type).removeprefix("FIELD_TYPE_").lower()
            for field in message.fields
        },
        **{
            name: enum.Name(getattr(message, name)).removeprefix(prefix).lower()
            for name, (enum, prefix) in words.items()
        },
        **_fields(model.Collection, message, skip=("ladder", "kinds", "aliases", "fields", *words)),
    )


def collection_stats(message) -> model.CollectionStats:
    return model.CollectionStats(
        levels={level.dims: level.bytes for level in message.levels},
        files={file.name: file.bytes for file in message.files},
        **_fields(model.CollectionStats, message, skip=("levels", "files")),
    )


def server_info(message) -> model.ServerInfo:
    return model.ServerInfo(
        limits={limit.name: limit.value for limit in message.limits},
        **_fields(model.ServerInfo, message, skip=("limits",)),
    )


def settings(message) -> list[model.Setting]:
    return [_plain(model.Setting, one) for one in message.settings]


def _why_not(message) -> model.WhyNot:
    return model.WhyNot(
        id=id_value(message.id),
        found=message.found,
        ranks=[s.rank if s.HasField("rank") else None for s in message.stages],
        scores=[s.score for s in message.stages],
        lost_at=message.lost_at if message.HasField("lost_at") else None,
    )


def _fields(kind, message, skip=()) -> dict:
    return {
        name: getattr(message, name) for name in kind.__dataclass_fields__ if name not in skip
    }


def _plain(kind, message):
    return kind(**_fields(kind, message))
