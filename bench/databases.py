"""Vector databases that run inside a Python process, as engines.Rival: their own index at their own defaults but
for the effort of a search, which is the setting. A database whose package is missing raises ImportError."""
import os

import numpy as np
from engines import Rival
from rows import K


class QdrantLocal(Rival):
    """qdrant-client's local mode: exact search in numpy, which is all it has."""
    settings = ["exact"]

    def build(self):
        import qdrant_client  # noqa: F401

    def start(self):
        from qdrant_client import QdrantClient, models
        self.client = QdrantClient(":memory:")
        self.client.create_collection("x", vectors_config=models.VectorParams(size=self.dims, distance="Cosine"))
        first = 0
        for block in self.singles():
            self.client.upload_collection("x", vectors=block, ids=range(first, first + len(block)))
            first += len(block)

    def ask(self, setting):
        return lambda queries: [[hit.id for hit in self.client.query_points("x", query=one, limit=K).points]
                                for one in queries]


class MilvusLite(Rival):
    """milvus-lite. It makes an IVF_FLAT or FLAT index only; a setting is nprobe."""
    settings = [8, 16, 32, 64, 128]

    def build(self):
        from pymilvus import MilvusClient
        self.uri = self.path(".db")
        if os.path.exists(self.uri):
            return
        client = MilvusClient(self.path(".part.db"))
        client.create_collection("x", dimension=self.dims, metric_type="COSINE", auto_id=False)
        first = 0
        for block in self.singles():
            for start in range(0, len(block), 1000):
                client.insert("x", [{"id": first + start + i, "vector": row}
                                    for i, row in enumerate(block[start:start + 1000])])
            first += len(block)
        client.release_collection("x")
        client.drop_index("x", "vector")
        parameters = client.prepare_index_params()
        parameters.add_index("vector", index_type="IVF_FLAT", metric_type="COSINE",
                             params={"nlist": 1 << int(np.log2(4 * np.sqrt(len(self.base))))})
        client.create_index("x", parameters)
        client.close()
        os.rename(self.path(".part.db"), self.uri)

    def start(self):
        from pymilvus import MilvusClient
        self.client = MilvusClient(self.uri)
        self.client.load_collection("x")

    def ask(self, setting):
        def search(queries):
            found = self.client.search("x", data=list(queries), limit=K,
                                       search_params={"metric_type": "COSINE", "params": {"nprobe": setting}})
            return [[hit["id"] for hit in hits] for hits in found]
        return search


class Chroma(Rival):
    """chromadb: HNSW, 16 links, by hnswlib; a setting is ef."""
    settings = [16, 32, 64, 128, 256, 512]

    def build(self):
        import chromadb
        if os.path.exists(self.path()):
            return
        client = chromadb.PersistentClient(self.path(".part"))
        collection = client.create_collection("x", metadata={"hnsw:space": "cosine", "hnsw:construction_ef": 100,
                                                             "hnsw:batch_size": 5000, "hnsw:sync_threshold": 50_000})
        first = 0
        for block in self.singles():
            for start in range(0, len(block), 5000):
                part = block[start:start + 5000]
                collection.add(ids=[str(first + start + i) for i in range(len(part))], embeddings=part)
            first += len(block)
        os.rename(self.path(".part"), self.path())

    def start(self):
        import chromadb
        self.collection = chromadb.PersistentClient(self.path()).get_collection("x")

    def ask(self, setting):
        self.collection.modify(configuration={"hnsw": {"ef_search": setting}})
        return lambda queries: [[int(one) for one in ids] for ids in
                                self.collection.query(query_embeddings=queries, n_results=K, include=[])["ids"]]


class LanceDb(Rival):
    """lancedb: IVF_HNSW_SQ; a setting is (nprobes, refine_factor)."""
    settings = [(4, 4), (8, 4), (16, 8), (32, 8), (64, 16)]

    def build(self):
        import lancedb
        if os.path.exists(self.path()):
            return
        import pyarrow as pa
        kind = pa.list_(pa.float32(), self.dims)

        def batches():
            first = 0
            for block in self.singles():
                values = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), self.dims)
                ids = pa.array(np.arange(first, first + len(block)))
                yield pa.RecordBatch.from_arrays([ids, values], ["id", "vector"])
                first += len(block)
        table = lancedb.connect(self.path(".part")).create_table(
            "x", batches(), schema=pa.schema([("id", pa.int64()), ("vector", kind)]))
        table.create_index(metric="cosine", index_type="IVF_HNSW_SQ",
                           num_partitions=max(1, len(self.base) // 100_000))
        os.rename(self.path(".part"), self.path())

    def start(self):
        import lancedb
        self.table = lancedb.connect(self.path()).open_table("x")

    def ask(self, setting):
        probes, refine = setting

        def search(queries):
            return [self.table.search(one).metric("cosine").nprobes(probes).refine_factor(refine).limit(K)
                    .select(["id"]).to_arrow()["id"].to_pylist() for one in queries]
        return search


DATABASES = {one.__name__: one for one in (QdrantLocal, MilvusLite, Chroma, LanceDb)}
