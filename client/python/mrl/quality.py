"""Funnels of a collection, their profiles and their quality: what both clients can do.

A method returns what its docstring says from the blocking client, and an awaitable of it from the
asyncio client. Those that return an Operation start work that goes on: `wait_operation` waits for
its result.
"""

from __future__ import annotations

from mrl import messages, model
from mrl._proto.mrl.v1 import funnel_pb2
from mrl.indexes import operation
from mrl.quality_messages import job_queries, profile


class QualityCalls:
    """Part of Client and AsyncClient, which bring `_run(rpc, request, convert, timeout_s)`."""

    def classify(
        self,
        collection: str,
        vector=None,
        *,
        field: str,
        id: model.PointId | None = None,
        k: int = 10,
        confidence: float = 0.95,
        timeout_s: float | None = None,
    ) -> model.Classification:
        """The value of the payload field that most of the k nearest points have, decided at the
        shortest prefix whose vote promises `confidence`."""
        request = messages.classify_request(
            collection, vector, field, id=id, k=k, confidence=confidence
        )
        rpc = self._stubs.search.Classify
        return self._run(rpc, request, messages.classification, timeout_s)

    def create_profile(
        self,
        collection: str,
        name: str,
        funnel: str,
        *,
        k: int = 10,
        note: str = "",
        make_default: bool = False,
        validate_only: bool = False,
        timeout_s: float | None = None,
    ) -> model.Profile:
        """The new profile; `k` is what the keeps of `funnel` are for."""
        request = funnel_pb2.CreateProfileRequest(
            collection=collection,
            profile=name,
            funnel_text=funnel,
            k=k,
            note=note,
            make_default=make_default,
            validate_only=validate_only,
        )
        return self._run(self._stubs.funnels.CreateProfile, request, profile, timeout_s)

    def get_profile(
        self, collection: str, name: str, *, timeout_s: float | None = None
    ) -> model.Profile:
        """The profile with all its versions."""
        request = funnel_pb2.GetProfileRequest(collection=collection, profile=name)
        return self._run(self._stubs.funnels.GetProfile, request, profile, timeout_s)

    def list_profiles(
        self, collection: str, *, timeout_s: float | None = None
    ) -> list[model.Profile]:
        """All profiles, each with the version that serves."""
        request = funnel_pb2.ListProfilesRequest(collection=collection)
        rpc = self._stubs.funnels.ListProfiles
        return self._run(rpc, request, lambda reply: list(map(profile, reply.profiles)), timeout_s)

    def update_profile(
        self,
        collection: str,
        name: str,
        *,
        funnel: str | None = None,
        k: int = 10,
        note: str = "",
        roll_back_to: int | None = None,
        is_default: bool | None = None,
        shadow_share: float | None = None,
        timeout_s: float | None = None,
    ) -> model.Profile:
        """The profile after the change. `funnel` becomes a new version, which serves at once;
        `roll_back_to` lets another version serve, 0 the one before; `shadow_share` of 0 ends the
        shadow."""
        if funnel is not None and roll_back_to is not None:
            raise ValueError("funnel and roll_back_to were both given; one version can serve")
        request = funnel_pb2.UpdateProfileRequest(
            collection=collection,
            profile=name,
            funnel_text=funnel,
            serving_version=roll_back_to,
            k=k,
            note=note,
            is_default=is_default,
            shadow_share=shadow_share,
        )
        return self._run(self._stubs.funnels.UpdateProfile, request, profile, timeout_s)

    def delete_profile(
        self, collection: str, name: str, *, timeout_s: float | None = None
    ) -> None:
        """Removes the profile with all its versions; the default cannot be removed."""
        request = funnel_pb2.DeleteProfileRequest(collection=collection, profile=name)
        return self._run(self._stubs.funnels.DeleteProfile, request, lambda _: None, timeout_s)

    def measure_recall(
        self,
        collection: str,
        *,
        profile: str | None = None,
        funnel: str | None = None,
        k: int = 10,
        queries=None,
        sample: int = 200,
        seed: int = 1,
        max_changed_share: float = 0.1,
        filter: str = "",
        timeout_s: float | None = None,
    ) -> model.Operation:
        """Starts to measure the recall of a profile, a funnel or what a search gets that names
        nothing, on `queries` or on a sample of the collection's points. Ends with a Certificate,
        which a profile keeps; not where `filter` says which points are searched for."""
        request = funnel_pb2.MeasureRecallRequest(
            collection=collection,
            profile=profile,
            funnel_text=funnel,
            k=k,
            queries=job_queries(queries, sample, seed),
            max_changed_share=max_changed_share,
            filter=filter,
        )
        return self._run(self._stubs.funnels.MeasureRecall, request, operation, timeout_s)

    def tune_funnel(
        self,
        collection: str,
        *,
        recall: float | None = None,
        p99_ms: float | None = None,
        max_bytes: float | None = None,
        k: int = 10,
        queries=None,
        sample: int = 200,
        seed: int = 1,
        save_as: str = "",
        make_default: bool = False,
        timeout_s: float | None = None,
    ) -> model.Operation:
        """Starts the search for the cheapest funnel that reaches `recall` (default 0.95), or the
        one of best recall whose 99th percentile is at most `p99_ms` or that reads at most
        `max_bytes` a query. Ends with a Tuned."""
        targets = {"recall": recall, "p99_ms": p99_ms, "bytes": max_bytes}
        targets = {name: value for name, value in targets.items() if value is not None}
        if len(targets) > 1:
            raise ValueError(f"{' and '.join(targets)} were both given; there is one target")
        request = funnel_pb2.TuneFunnelRequest(
            collection=collection,
            k=k,
            queries=job_queries(queries, sample, seed),
            save_as=save_as,
            make_default=make_default,
            **targets,
        )
        return self._run(self._stubs.funnels.TuneFunnel, request, operation, timeout_s)

    def analyze_dimensions(
        self,
        collection: str,
        *,
        k: int = 10,
        queries=None,
        query_sample: int = 200,
        sample: int = 10_000,
        seed: int = 1,
        timeout_s: float | None = None,
    ) -> model.Operation:
        """Starts to find out how good each prefix of the collection's vectors is, on a sample of
        its points. Ends with a DimensionReport."""
        request = funnel_pb2.AnalyzeDimensionsRequest(
            collection=collection,
            k=k,
            queries=job_queries(queries, query_sample, seed),
            sample=sample,
        )
        return self._run(self._stubs.funnels.AnalyzeDimensions, request, operation, timeout_s)
