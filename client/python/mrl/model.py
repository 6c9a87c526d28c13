"""What the clients return."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict, Union

import numpy as np

PointId = Union[int, str]


class BatchOptions(TypedDict, total=False):
    """At most one of `funnel`, `profile` and `exact`; with none of them the collection's default
    profile runs, or a funnel that the server chooses."""

    funnel: str | None
    profile: str | None
    exact: bool
    score_threshold: float | None
    filter: str | None


class SearchOptions(BatchOptions, total=False):
    """Payloads come unless `with_payload` is False; vectors only with `with_vector`. With `anytime`
    a search that would miss its `timeout_s` returns what it has, marked `degraded`. `early_exit`,
    above 0 to 1, leaves out the stages that would change less than that share of the result.
    `adaptive_keep`, above 0 to 1, takes fewer candidates from stage to stage where the scores of a
    query allow it; that share of the result is to stay."""

    id: PointId | None
    k: int
    include_self: bool
    with_payload: bool
    with_vector: bool
    min_sequence: int
    offset: int
    group_by: str | None
    group_size: int
    anytime: bool
    early_exit: float | None
    adaptive_keep: float | None


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
    cold_bytes: int = 0
    left_out: int = 0


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
    profile: str = ""
    profile_version: int = 0
    degraded: bool = False
    early_exit_stages: int = 0
    early_exit_recall: float | None = None
    adaptive_keep_recall: float | None = None
    engine_micros: float = 0.0


@dataclasses.dataclass(frozen=True)
class SearchResult:
    hits: list[Hit]
    stats: SearchStats


@dataclasses.dataclass(frozen=True)
class Classification:
    """The label, the share of neighbours that have it, how often so clear a vote was right at this
    prefix, and the prefix that decided."""

    label: str
    vote_share: float
    confidence: float
    dims: int
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
    """With `compare_exact`, `recall` is that of this search, and `why_not` ends with the true
    neighbours that it did not find."""

    result: SearchResult
    why_not: list[WhyNot]
    recall: float | None = None


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
class BatchWritten:
    """One batch of `write`. `failures` has what was not written, by its place in the batch."""

    sequence: int
    points: int
    failures: dict[int, str]


@dataclasses.dataclass(frozen=True)
class Index:
    """A coarse index of a collection. `segments` is how many have it; `code` such as "256b1"."""

    collection: str
    kind: str
    dims: int
    faiss_factory: str
    lists: int
    code: str
    degree: int
    active: bool
    memory_bytes: int
    segments: int


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A funnel's recall as it was measured once, with its 95 % interval and what each stage lost.

    It speaks of the data of `sequence`, and has expired when `changed_share` is above
    `max_changed_share`. `own_points`: points of the collection were the queries.
    """

    funnel: str
    k: int
    queries: int
    own_points: bool
    recall: float
    low: float
    high: float
    lost: list[float]
    seed: int
    generation: int
    sequence: int
    rows: int
    created_unix_s: int
    max_changed_share: float
    changed_share: float
    expired: bool
    method: str
    filter: str = ""
    profile: str = ""
    profile_version: int = 0


@dataclasses.dataclass(frozen=True)
class MeasuredFunnel:
    """A funnel that ran one query at a time."""

    funnel: str
    recall: float
    low: float
    high: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    mean_bytes: float


@dataclasses.dataclass(frozen=True)
class Tuned:
    """What tuning found. `held_out` is measured on queries that did not choose the funnel."""

    held_out: MeasuredFunnel
    tuning: MeasuredFunnel
    reached: bool
    tried: int
    tuning_queries: int
    held_out_queries: int
    front: list[MeasuredFunnel]
    profile: str
    profile_version: int


@dataclasses.dataclass(frozen=True)
class PrefixQuality:
    """How good one prefix is; `shortlist` and `control` are per length of the report's `keeps`,
    `search_ms` is of the whole collection by the scan of this prefix alone."""

    dims: int
    recall: float
    low: float
    high: float
    overlap: float
    kendall: float
    shortlist: list[float]
    control: list[float]
    energy: float
    bytes: int
    norm_mean: float
    norm_deviation: float
    scan_ns_per_row: float
    search_ms: float


@dataclasses.dataclass(frozen=True)
class DimensionReport:
    """`verdict` is `useful`, `useful_by_rotation` or `not_useful`."""

    verdict: str
    advice: list[str]
    gain: float
    gain_limit: float
    k: int
    rows: int
    queries: int
    keeps: list[int]
    prefixes: list[PrefixQuality]


@dataclasses.dataclass(frozen=True)
class ProfileVersion:
    """A funnel as it was once saved; `k` is what its keeps were chosen for."""

    version: int
    funnel: str
    k: int
    created_unix_s: int
    note: str
    certificate: Certificate | None = None


@dataclasses.dataclass(frozen=True)
class Profile:
    """A named funnel. `shadow_share` is the share of searches on which it runs beside the answer."""

    name: str
    serving_version: int
    funnel: str
    is_default: bool
    shadow_share: float
    versions: list[ProfileVersion]


@dataclasses.dataclass(frozen=True)
class Compaction:
    """What a collection has after compact_collection, and the rows that were written for it."""

    segments: int
    rows: int
    rows_written: int


@dataclasses.dataclass(frozen=True)
class Operation:
    """Work that goes on after its call. `error_code` is a gRPC code, 0 for none; `result` is what it
    made or found, once it is done. `rows_done` of `rows` is how far it is, or its present step."""

    name: str
    method: str
    collection: str
    rows_done: int
    rows: int
    cancel_requested: bool
    done: bool
    error_code: int
    error_message: str
    result: Index | Collection | Compaction | Certificate | Tuned | DimensionReport | None = None

    @property
    def index(self) -> Index | None:
        """What build_index made."""
        return self.result if isinstance(self.result, Index) else None


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
