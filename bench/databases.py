"""Vector databases that a Python process starts, as engines.Rival: their own index at their own defaults but
for the effort of a search, which is the setting. A database whose package is missing raises ImportError.

    databases.py WORK NAME    loads the rows of serving.py's WORK, which its run does where that is not done
"""
import importlib.metadata
import os
import pickle
import shutil
import subprocess
import sys
import time

import numpy as np
from engines import Rival
from rows import BLOCK, K


class Database(Rival):
    """What was loaded stays in the folder, under the version that wrote it. A subclass has `package` and fill()."""

    def path(self, suffix=""):
        version = importlib.metadata.version(self.package)
        return super().path(f"-{version}-{len(self.base)}x{self.dims}{suffix}")

    def build(self):
        """In a process of its own, whose end closes every file and gives the memory back."""
        if not os.path.exists(self.path()):
            subprocess.run([sys.executable, __file__, self.folder, type(self).__name__], check=True)

    def load(self):
        part = self.path(".part")
        shutil.rmtree(part, ignore_errors=True)
        os.mkdir(part)
        self.fill(part)
        os.rename(part, self.path())

    def parts(self, size):
        """(number of the first row, at most `size` rows)"""
        first = 0
        for block in self.singles():
            for start in range(0, len(block), size):
                yield first + start, block[start:start + size]
            first += len(block)


class QdrantLocal(Database):
    """qdrant-client's local mode: exact search in numpy, which is all it has. Kept is what it holds in memory: its
    own files are read back as f64, which would be slower."""
    settings = ["exact"]
    package = "qdrant-client"

    def fill(self, folder):
        from qdrant_client import QdrantClient, models
        client = QdrantClient(":memory:")
        client.create_collection("x", vectors_config=models.VectorParams(size=self.dims, distance="Cosine"))
        for first, part in self.parts(BLOCK):
            client.upload_collection("x", vectors=part, ids=range(first, first + len(part)))
        with open(f"{folder}/collection", "wb") as file:
            pickle.dump(client._client.collections["x"], file)

    def start(self):
        from qdrant_client import QdrantClient
        self.client = QdrantClient(":memory:")
        with open(f"{self.path()}/collection", "rb") as file:
            self.client._client.collections["x"] = pickle.load(file)

    def ask(self, setting):
        return lambda queries: [[hit.id for hit in self.client.query_points("x", query=one, limit=K).points]
                                for one in queries]


class MilvusLite(Database):
    """milvus-lite: HNSW, 32 links; a setting is ef."""
    settings = [16, 32, 64, 128, 256, 512]
    package = "milvus-lite"

    def fill(self, folder):
        from pymilvus import DataType, MilvusClient, MilvusException
        client = MilvusClient(f"{folder}/rows.db")
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dims)
        client.create_collection("x", schema=schema)
        for first, part in self.parts(1000):
            client.insert("x", [{"id": first + i, "vector": row} for i, row in enumerate(part)])
        client.flush("x")  # What is in memory has no index.
        parameters = client.prepare_index_params()
        parameters.add_index("vector", index_type="HNSW", metric_type="COSINE",
                             params={"M": 32, "efConstruction": 100})
        try:
            client.create_index("x", parameters)
        except MilvusException:  # The call of a long build is repeated by the client, and finds its own index.
            while client.describe_index("x", "vector")["state"] != "Finished":
                time.sleep(1)
        client.close()

    def start(self):
        from pymilvus import MilvusClient
        self.client = MilvusClient(f"{self.path()}/rows.db")
        self.client.load_collection("x")

    def ask(self, setting):
        def search(queries):
            found = self.client.search("x", data=list(queries), limit=K,
                                       search_params={"metric_type": "COSINE", "params": {"ef": setting}})
            return [[hit["id"] for hit in hits] for hits in found]
        return search


class Chroma(Database):
    """chromadb: HNSW, 16 links, by hnswlib; a setting is ef."""
    settings = [16, 32, 64, 128, 256, 512]
    package = "chromadb"

    def fill(self, folder):
        import chromadb
        client = chromadb.PersistentClient(folder)
        collection = client.create_collection("rows", metadata={"hnsw:space": "cosine", "hnsw:construction_ef": 100,
                                                             "hnsw:batch_size": 5000, "hnsw:sync_threshold": 50_000})
        for first, part in self.parts(5000):
            collection.add(ids=[str(first + i) for i in range(len(part))], embeddings=part)

    def start(self):
        import chromadb
        self.collection = chromadb.PersistentClient(self.path()).get_collection("rows")

    def ask(self, setting):
        from chromadb.api.shared_system_client import SharedSystemClient
        self.collection.modify(configuration={"hnsw": {"ef_search": setting}})
        SharedSystemClient.clear_system_cache()  # A graph that is open keeps the effort it was opened with.
        self.start()
        return lambda queries: [[int(one) for one in ids] for ids in
                                self.collection.query(query_embeddings=queries, n_results=K, include=[])["ids"]]


class LanceDb(Database):
    """lancedb: IVF_HNSW_SQ; a setting is (nprobes, refine_factor)."""
    settings = [(4, 4), (8, 4), (16, 8), (32, 8), (64, 16)]
    package = "lancedb"

    def fill(self, folder):
        import lancedb
        import pyarrow as pa
        kind = pa.list_(pa.float32(), self.dims)

        def batches():
            for first, part in self.parts(BLOCK):
                values = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), self.dims)
                ids = pa.array(np.arange(first, first + len(part)))
                yield pa.RecordBatch.from_arrays([ids, values], ["id", "vector"])
        table = lancedb.connect(folder).create_table(
            "x", batches(), schema=pa.schema([("id", pa.int64()), ("vector", kind)]))
        table.create_index(metric="cosine", index_type="IVF_HNSW_SQ",
                           num_partitions=max(1, len(self.base) // 100_000))

    def start(self):
        import lancedb
        self.table = lancedb.connect(self.path()).open_table("x")

    def ask(self, setting):
        probes, refine = setting

        def search(queries):
            return [self.table.search(one).metric("cosine").nprobes(probes).refine_factor(refine).limit(K)
                    .select(["id", "_distance"]).to_arrow()["id"].to_pylist() for one in queries]
        return search


class QdrantEdge(Database):
    """qdrant-edge-py: the engine of Qdrant inside the process, HNSW, 16 links; a setting is ef."""
    settings = [16, 32, 64, 128, 256, 512]
    package = "qdrant-edge-py"

    def fill(self, folder):
        import qdrant_edge as qdrant
        shard = qdrant.EdgeShard.create(folder, qdrant.EdgeConfig(
            vectors=qdrant.EdgeVectorParams(size=self.dims, distance=qdrant.Distance.Cosine)))
        for first, part in self.parts(10_000):
            shard.update(qdrant.UpdateOperation.upsert_points(
                [qdrant.Point(first + i, row.tolist()) for i, row in enumerate(part)]))
        shard.optimize()
        shard.flush()
        shard.close()

    def start(self):
        import qdrant_edge as qdrant
        self.shard = qdrant.EdgeShard.load(self.path())

    def ask(self, setting):
        import qdrant_edge as qdrant
        params = qdrant.SearchParams(hnsw_ef=setting)
        return lambda queries: [[hit.id for hit in self.shard.search(qdrant.SearchRequest(
            qdrant.Query.Nearest(one.tolist()), K, params=params))] for one in queries]


class Zvec(Database):
    """zvec: HNSW, 50 links; a setting is ef."""
    settings = [16, 32, 64, 128, 256, 512]
    package = "zvec"

    def fill(self, folder):
        import zvec
        schema = zvec.CollectionSchema("rows", vectors=zvec.VectorSchema(
            "vector", zvec.DataType.VECTOR_FP32, self.dims, zvec.HnswIndexParam(metric_type=zvec.MetricType.COSINE)))
        collection = zvec.create_and_open(f"{folder}/rows", schema)
        for first, part in self.parts(1000):
            for status in collection.insert([zvec.Doc(id=str(first + i), vectors={"vector": row})
                                             for i, row in enumerate(part)]):
                if not status.ok():
                    raise RuntimeError(status.message())
        collection.optimize()
        collection.flush()
        collection.close()

    def start(self):
        import zvec
        self.collection = zvec.open(f"{self.path()}/rows", zvec.CollectionOption(read_only=True))

    def ask(self, setting):
        import zvec
        param = zvec.HnswQueryParam(ef=setting)
        return lambda queries: [[int(hit.id) for hit in self.collection.query(
            zvec.Query("vector", vector=one, param=param), topk=K, output_fields=[])] for one in queries]


class Pgvector(Database):
    """pgvector, by the PostgreSQL of the package pgserver, a process of its own: HNSW, 16 links; a setting is ef."""
    settings = [16, 32, 64, 128, 256, 512]
    package = "pgserver"

    def connect(self, folder):
        import pgserver
        import psycopg
        self.server = pgserver.get_server(f"{folder}/data", cleanup_mode="stop")
        self.connection = psycopg.connect(self.server.get_uri(), autocommit=True)

    def fill(self, folder):
        from pgvector.psycopg import register_vector
        self.connect(folder)
        run = self.connection.execute
        run("CREATE EXTENSION vector")
        run("ALTER SYSTEM SET shared_buffers = '4GB'")
        run("ALTER SYSTEM SET max_wal_size = '8GB'")
        self.connection.close()
        self.server.cleanup()  # The settings hold from the next start.

        self.connect(folder)
        run = self.connection.execute
        register_vector(self.connection)
        run(f"CREATE TABLE rows (id bigint PRIMARY KEY, vector vector({self.dims}))")
        with self.connection.cursor().copy("COPY rows FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "vector"])
            for first, part in self.parts(BLOCK):
                for i, row in enumerate(part):
                    copy.write_row((first + i, row))
        run("SET maintenance_work_mem = '6GB'")
        run("CREATE INDEX ON rows USING hnsw (vector vector_cosine_ops)")
        run("VACUUM ANALYZE rows")
        self.connection.close()
        self.server.cleanup()

    def start(self):
        from pgvector.psycopg import register_vector
        self.connect(self.path())
        register_vector(self.connection)

    def ask(self, setting):
        self.connection.execute(f"SET hnsw.ef_search = {setting}")
        return lambda queries: [[id for (id,) in self.connection.execute(
            f"SELECT id FROM rows ORDER BY vector <=> %b LIMIT {K}", (one,), prepare=True)] for one in queries]


DATABASES = {one.__name__: one for one in (QdrantLocal, QdrantEdge, MilvusLite, Zvec, Chroma, LanceDb, Pgvector)}


if __name__ == "__main__":
    began = time.monotonic()
    DATABASES[sys.argv[2]](sys.argv[1]).load()
    print(f"{sys.argv[2]}: loaded in {time.monotonic() - began:.0f} s", file=sys.stderr)
