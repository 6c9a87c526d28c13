"""The blocking client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import pathlib
import time
from typing import Unpack

import grpc
import numpy as np

from mrl import messages, model
from mrl._proto.mrl.v1 import collection_pb2, server_pb2, snapshot_pb2
from mrl.connection import CHANNEL_OPTIONS, Stubs, Tls, is_serving, metadata
from mrl.errors import MrlError
from mrl.indexes import IndexCalls
from mrl.live import LiveCalls, batch_written, write_requests
from mrl.quality import QualityCalls
from mrl.snapshots import SnapshotCalls, pieces, snapshot
from mrl.waiting import Waits, ended


class Client(LiveCalls, IndexCalls, QualityCalls, SnapshotCalls):
    """Calls one server. Safe to share between threads. Failed calls raise MrlError."""

    def __init__(self, address: str, *, api_key: str | None = None, tls: Tls | None = None):
        """`api_key` goes with each call; `tls` (such as Tls(ca="ca.pem")) encrypts them."""
        if tls is None:
            self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        else:
            self._channel = grpc.secure_channel(address, tls.credentials(), CHANNEL_OPTIONS)
        self._stubs = Stubs(self._channel)
        self._metadata = metadata(api_key)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def _run(self, rpc, request, convert, timeout_s):
        return convert(self._call(rpc, request, timeout_s))

    def search(
        self,
        collection: str,
        vector=None,
        *,
        timeout_s: float | None = None,
        **options: Unpack[model.SearchOptions],
    ) -> model.SearchResult:
        """The nearest points to `vector`, or with `id=` to a point of the collection."""
        request = messages.search_request(collection, vector, **options)
        return messages.search_result(self._call(self._stubs.search.Search, request, timeout_s))

    def batch_search(
        self,
        collection: str,
        queries,
        k: int = 10,
        *,
        timeout_s: float | None = None,
        **options: Unpack[model.BatchOptions],
    ) -> tuple[list[list[model.PointId]], np.ndarray]:
        """The ids of each row, and scores as a float32 matrix padded with NaN."""
        request = messages.batch_request(collection, queries, k, **options)
        rows = messages.BatchRows(request.rows)
        try:
            for response in self._stubs.search.BatchSearch(
                request, timeout=timeout_s, metadata=self._metadata
            ):
                rows.add(response)
        except grpc.RpcError as error:
            raise MrlError.from_rpc(error) from error
        return rows.arrays()

    def progressive_search(
        self,
        collection: str,
        vector=None,
        *,
        timeout_s: float | None = None,
        **options: Unpack[model.SearchOptions],
    ) -> Iterator[model.SearchResult]:
        """The best hits after each stage of the funnel; the last are what search returns."""
        request = messages.search_request(collection, vector, **options)
        rpc = self._stubs.search.ProgressiveSearch
        try:
            for message in rpc(request, timeout=timeout_s, metadata=self._metadata):
                yield messages.search_result(message)
        except grpc.RpcError as error:
            raise MrlError.from_rpc(error) from error

    def wait_operation(
        self,
        name: str,
        *,
        progress: Callable[[int, int], None] | None = None,
        timeout_s: float | None = None,
    ) -> model.Operation:
        """The operation once it has ended well; MrlError with its code and message otherwise, and a
        TimeoutError after `timeout_s`, when it goes on all the same. `progress` is told
        (rows_done, rows)."""
        waits = Waits(timeout_s)
        while True:
            found = self.get_operation(name)
            if progress is not None:
                progress(found.rows_done, found.rows)
            if found.done:
                return ended(found)
            time.sleep(waits.next())

    def explain(
        self,
        collection: str,
        vector=None,
        *,
        why_not: Iterable[model.PointId] = (),
        compare_exact: bool = False,
        timeout_s: float | None = None,
        **options: Unpack[model.SearchOptions],
    ) -> model.Explanation:
        search = messages.search_request(collection, vector, **options)
        request = messages.explain_request(search, why_not, compare_exact)
        return messages.explanation(self._call(self._stubs.search.ExplainSearch, request, timeout_s))

    def get_collection(self, name: str, *, timeout_s: float | None = None) -> model.Collection:
        request = collection_pb2.GetCollectionRequest(name=name)
        rpc = self._stubs.collections.GetCollection
        return messages.collection(self._call(rpc, request, timeout_s))

    def list_collections(self, *, timeout_s: float | None = None) -> list[model.Collection]:
        """All pages. The limit in time is for each page."""
        found, token = [], ""
        while True:
            request = collection_pb2.ListCollectionsRequest(page_token=token)
            page = self._call(self._stubs.collections.ListCollections, request, timeout_s)
            found.extend(map(messages.collection, page.collections))
            token = page.next_page_token
            if not token:
                return found

    def write(
        self,
        collection: str,
        batches: Iterable,
        *,
        durable: bool = True,
        timeout_s: float | None = None,
    ) -> Iterator[model.BatchWritten]:
        """Writes batches of (ids, vectors, payloads or None) on one stream, with an answer to each. A
        point that cannot be stored is reported and the others are stored."""
        requests = write_requests(collection, batches, durable)
        try:
            for answer in self._stubs.points.WritePoints(
                requests, timeout=timeout_s, metadata=self._metadata
            ):
                yield batch_written(answer)
        except grpc.RpcError as error:
            raise MrlError.from_rpc(error) from error

    def stats(self, name: str, *, timeout_s: float | None = None) -> model.CollectionStats:
        request = collection_pb2.GetCollectionStatsRequest(name=name)
        rpc = self._stubs.collections.GetCollectionStats
        return messages.collection_stats(self._call(rpc, request, timeout_s))

    def download_snapshot(
        self, collection: str, name: str, path, *, timeout_s: float | None = None
    ) -> None:
        """Writes the snapshot as one file to `path`, which is there only when all of it came."""
        request = snapshot_pb2.DownloadSnapshotRequest(collection=collection, name=name)
        part = pathlib.Path(f"{path}.part")
        try:
            with open(part, "wb") as file:
                for piece in self._stubs.snapshots.DownloadSnapshot(
                    request, timeout=timeout_s, metadata=self._metadata
                ):
                    file.write(piece.data)
            part.replace(path)
        except grpc.RpcError as error:
            raise MrlError.from_rpc(error) from error
        finally:
            part.unlink(missing_ok=True)

    def upload_snapshot(
        self, collection: str, name: str, path, *, timeout_s: float | None = None
    ) -> model.Snapshot:
        """The snapshot that the server keeps from now on, from a file of `download_snapshot`."""
        last = None
        try:
            with open(path, "rb") as file:
                for last in self._stubs.snapshots.UploadSnapshot(
                    pieces(collection, name, file), timeout=timeout_s, metadata=self._metadata
                ):
                    pass
        except grpc.RpcError as error:
            raise MrlError.from_rpc(error) from error
        if last is None or not last.HasField("snapshot"):
            raise ValueError(f"{path} ends before the snapshot does")
        return snapshot(last.snapshot)

    def server_info(self, *, timeout_s: float | None = None) -> model.ServerInfo:
        request = server_pb2.GetServerInfoRequest()
        return messages.server_info(self._call(self._stubs.server.GetServerInfo, request, timeout_s))

    def config(self, *, timeout_s: float | None = None) -> list[model.Setting]:
        """Every setting that is in force; needs a key with the role admin."""
        request = server_pb2.GetConfigRequest()
        return messages.settings(self._call(self._stubs.server.GetConfig, request, timeout_s))

    def health(self, *, timeout_s: float | None = None) -> bool:
        return is_serving(self._call(self._stubs.health, b"", timeout_s))

    def _call(self, rpc, request, timeout_s):
        try:
            return rpc(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise MrlError.from_rpc(error) from error
