"""What the clients return."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict, Union

import numpy as np

PointId = Union[int, str]


class BatchOptions(TypedDict, total=False):
    """At most one of `funnel` and `exact`; with neither the server chooses a funnel."""

    funnel: str | None
    exact: bool
    score_threshold: float | None
    filter: str | None


class SearchOptions(BatchOptions, total=False):
    """Payloads come unless `with_payload` is False; vectors only with `with_vector`."""

    id: PointId | None
    k: int
    include_self: bool
    with_payload: bool
    with_vector: bool
    min_sequence: int
    offset: int
    group_by: str | None
    group_size: int


@dataclasses.dataclass(frozen=True)
class Hit:
    id: PointId
    score: float
    payload: dict[str, Any] | None = None
    vector: np.ndarray | None = None
    group: Any = None


@dataclasses.dataclass(frozen=True)
class StageStats:
    kind: str
    dims: int
    bits: int
    candidates_in: int
    candidates_out: int
    bytes_touched: int
    rescored: int
    micros: float
    score_cut: float


@dataclasses.dataclass(frozen=True)
class SearchStats:
    queue_micros: float
    total_micros: float
    stages: list[StageStats]
    rows_scanned: int
    plan: str
    generation: int
    multiply_adds: int
    sequence: int
    tile_queries: int = 1
    rows_matched: int | None = None


@dataclasses.dataclass(frozen=True)
class SearchResult:
    hits: list[Hit]
    stats: SearchStats


@dataclasses.dataclass(frozen=True)
class WhyNot:
    """Where a point stood: `ranks` and `scores` by stage, a rank of None where it was not kept."""

    id: PointId
    found: bool
    ranks: list[int | None]
    scores: list[float]
    lost_at: int | None


@dataclasses.dataclass(frozen=True)
class Explanation:
    result: SearchResult
    why_not: list[WhyNot]


@dataclasses.dataclass(frozen=True)
class Collection:
    """`metric`, `storage`, `transform` and `state` are lower-case words such as `cosine`."""

    name: str
    state: str
    state_message: str
    uuid: str
    generation: int
    rows: int
    dim: int
    ladder: list[int]
    metric: str
    storage: str
    transform: str
    kinds: list[str]
    read_only: bool
    sequence: int
    aliases: list[str]
    fields: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Point:
    """`sequence` is of the write that made it."""

    id: PointId
    sequence: int
    payload: dict[str, Any] | None = None
    vector: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Written:
    """What a write did: how many points, and the sequence that a read may ask for.

    `sample`: some of the points that a deletion with `validate_only` is about.
    """

    sequence: int
    points: int
    sample: list[PointId] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What a collection held at `sequence`."""

    collection: str
    name: str
    collection_uuid: str
    generation: int
    sequence: int
    rows: int
    bytes: int
    files: int
    created_unix_s: int


@dataclasses.dataclass(frozen=True)
class Index:
    """A coarse index of a collection. `segments` is how many have it; `code` such as "256b1"."""

    collection: str
    kind: str
    dims: int
    faiss_factory: str
    lists: int
    code: str
    active: bool
    memory_bytes: int
    segments: int


@dataclasses.dataclass(frozen=True)
class Operation:
    """Work that goes on after its call. `error_code` is a gRPC code, 0 for none; `index` is what
    build_index made, once it is done."""

    name: str
    method: str
    collection: str
    rows_done: int
    rows: int
    cancel_requested: bool
    done: bool
    error_code: int
    error_message: str
    index: Index | None


@dataclasses.dataclass(frozen=True)
class CollectionStats:
    """Bytes; `levels` maps a prefix length to the bytes of the level that ends there."""

    name: str
    generation: int
    rows: int
    segments: int
    memory_bytes: int
    hot_bytes: int
    levels: dict[int, int]
    norms_bytes: int
    ids_bytes: int
    disk_bytes: int
    files: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Setting:
    """One key of the server's configuration; `value` is `***` for a secret that is set."""

    key: str
    value: str
    source: str


@dataclasses.dataclass(frozen=True)
class ServerInfo:
    version: str
    commit: str
    instruction_set: str
    workers: int
    memory_used_bytes: int
    memory_limit_bytes: int
    limits: dict[str, int]
    gpu: str
    gpu_memory_used_bytes: int
    gpu_memory_limit_bytes: int
