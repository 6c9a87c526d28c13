"""Between Python values and the messages of FunnelService."""

from __future__ import annotations

import numpy as np

from mrl import messages, model
from mrl._proto.mrl.v1 import funnel_pb2


def certificate(message, name="", version=0) -> model.Certificate:
    fields = ("k", "queries", "own_points", "recall", "low", "high", "seed", "generation")
    fields += ("sequence", "rows", "max_changed_share", "changed_share", "expired", "method")
    fields += ("filter",)
    return model.Certificate(
        funnel=message.funnel_text,
        lost=list(message.lost),
        created_unix_s=message.create_time.seconds,
        profile=name,
        profile_version=version,
        **{field: getattr(message, field) for field in fields},
    )


def _measured(message) -> model.MeasuredFunnel:
    fields = ("recall", "low", "high", "mean_ms", "p50_ms", "p99_ms", "mean_bytes")
    return model.MeasuredFunnel(
        funnel=message.funnel_text, **{field: getattr(message, field) for field in fields}
    )


def _tuned(message) -> model.Tuned:
    fields = ("reached", "tried", "tuning_queries", "held_out_queries", "profile")
    return model.Tuned(
        held_out=_measured(message.held_out),
        tuning=_measured(message.tuning),
        front=list(map(_measured, message.front)),
        profile_version=message.profile_version,
        **{field: getattr(message, field) for field in fields},
    )


def _report(message) -> model.DimensionReport:
    def prefix(one):
        fields = ("dims", "recall", "low", "high", "overlap", "kendall", "energy", "bytes")
        fields += ("norm_mean", "norm_deviation", "scan_ns_per_row", "search_ms")
        return model.PrefixQuality(
            shortlist=list(one.shortlist),
            control=list(one.control),
            **{field: getattr(one, field) for field in fields},
        )

    return model.DimensionReport(
        verdict=message.verdict,
        advice=list(message.advice),
        gain=message.gain,
        gain_limit=message.gain_limit,
        k=message.k,
        rows=message.rows,
        queries=message.queries,
        keeps=list(message.keeps),
        prefixes=list(map(prefix, message.prefixes)),
    )


def job_queries(vectors, sample, seed) -> funnel_pb2.JobQueries:
    if vectors is None:
        return funnel_pb2.JobQueries(sample=sample, seed=seed)
    vectors = np.asarray(vectors)
    if vectors.ndim != 2:
        raise ValueError(f"queries has {vectors.ndim} axes; a matrix of 2 is needed")
    return funnel_pb2.JobQueries(
        vectors=messages.vector(vectors), rows=vectors.shape[0], seed=seed
    )


def profile(message) -> model.Profile:
    return model.Profile(
        name=message.name,
        serving_version=message.serving_version,
        funnel=message.funnel_text,
        is_default=message.is_default,
        shadow_share=message.shadow_share,
        versions=[
            model.ProfileVersion(
                v.version,
                v.funnel_text,
                v.k,
                v.create_time.seconds,
                v.note,
                certificate(v.certificate) if v.HasField("certificate") else None,
            )
            for v in message.versions
        ],
    )


def found(response):
    """What an operation of FunnelService gives; None for a message of another kind."""
    measured = funnel_pb2.MeasureRecallResponse()
    tuned = funnel_pb2.TuneFunnelResponse()
    analyzed = funnel_pb2.AnalyzeDimensionsResponse()
    if response.Unpack(measured):
        return certificate(measured.certificate, measured.profile, measured.profile_version)
    if response.Unpack(tuned):
        return _tuned(tuned)
    return _report(analyzed) if response.Unpack(analyzed) else None
