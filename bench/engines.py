"""The engines that search_bench.py times. Each builds what it needs in a folder, once, and then runs
settings, from cheap to dear, with one thread: run(settings, part, in_flight, count) gives
{setting: (recall, ms a query)} for `count` queries of the set `part`, `in_flight` of them at a time.

Versions and settings follow the guides of each; what is cited as a rival is never slower than its default.
"""
import json
import os
import subprocess
import tempfile
import time

import numpy as np
from rows import BLOCK, K, load, recall, unit

THREADS = int(os.environ.get("BENCH_BUILD_THREADS", "2"))


LADDER = (16, 32, 64, 128, 256, 512, 1024)  # below the full vector
# efSearch of a graph and rows that its walk passes on; walks of more are bounded by gamma, too.
WALKS = ((15, 60), (20, 60), (25, 80), (30, 80), (40, 80), (50, 100), (60, 100), (80, 100), (80, 150), (100, 150), (120, 150),
         (150, 150), (200, 200), (300, 300), (400, 300), (500, 400))
BOUNDED = [(f"{ef},gamma={gamma}", keep) for ef, keep, gammas in (
    (150, 100, (0.15, 0.2)), (300, 150, (0.2, 0.25, 0.3)), (500, 300, (0.25, 0.3, 0.35)), (800, 400, (0.3, 0.35, 0.4)))
           for gamma in gammas]


class Mrl:
    """The index as `mrl-index build` makes it by default, and a graph over it where it has signs to walk by;
    settings are funnels. It times itself."""

    def __init__(self, folder, program):
        self.folder, self.program = folder, program
        self.dims = np.load(f"{folder}/base.npy", mmap_mode="r").shape[1]
        lists = ["16:200", "16:2000,64:400", "32:1000", "64:200", "64:1000", "64:4000"]
        if self.dims >= 256:
            lists += [f"{scan}{rest}" for scan in ("128b1:500", "128b1:1000", "128b1:2000", "128b1:4000",
                                                   "256b1:1000", "256b1:2000", "256b1:4000")
                      for rest in (("",) if self.dims < 512 else (",512b1:60", ",512b1:100", ",512b1:150", ",512b1:300"))]
            signs = min(self.dims, 512)
            half = max(step for step in LADDER if step < self.dims)
            lists += [f"graph(efSearch={ef})/{signs}b1:{keep}{rest}" for ef, keep in (*WALKS, *BOUNDED)
                      for rest in ("", f",{half}:{keep // 4}")]
        self.settings = [f"{one},{self.dims}:{K}" for one in lists
                         if "b" in one or all(int(step.split(":")[0]) < self.dims for step in one.split(","))] + ["exact"]

    name = "mrl"  # of the index in the folder

    @property
    def index(self):
        return f"{self.folder}/{self.name}"

    def ask(self, *arguments):
        ran = subprocess.run([self.program, *arguments], capture_output=True, text=True)
        if ran.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: {ran.stderr}")
        return ran.stdout

    def make(self, flags=("--storage", "f16")):
        if not os.path.exists(self.index):
            ladder = [d for d in LADDER if d < self.dims] + [self.dims]
            self.ask("build", "--input", f"{self.folder}/base.npy", "--output", self.index, "--dims",
                     ",".join(map(str, ladder)), *flags)

    def add_kind(self, kind, *flags):
        if kind not in self.ask("index", "list", "--index", self.index):
            self.ask("index", "add", kind, "--index", self.index, *flags)

    def build(self):
        self.make()
        if self.dims >= 256:
            self.add_kind("graph")

    def start(self):
        pass

    def run(self, settings, part, in_flight, count, more=()):
        asked = [flag for one in settings for flag in (["--exact"] if one == "exact" else ["--funnel", one])]
        out = self.ask("eval", "--index", self.index, "--queries", f"{self.folder}/{part}.npy", "--truth",
                       f"{self.folder}/truth_{part}.npy", "-k", str(K), "--in-flight", str(in_flight), "--limit",
                       str(count), "--json", *asked, *more)
        self.lines = [json.loads(line) for line in out.splitlines()]
        return {one["funnel"]: (one["recall"], 1e3 / one["qps"]) for one in self.lines}

    def ids(self, settings, part, count):
        """The rows found: settings x queries x K."""
        with tempfile.TemporaryDirectory() as folder:
            self.run(settings, part, 1, count, ["--found", f"{folder}/found.npy"])
            return np.load(f"{folder}/found.npy")


class Prefix16(Mrl):
    """Scans of 16 dimensions and what lies over them; a setting is an index and the rows it passes on."""
    name = "mrl16"
    coarse, first, add = "scan", "16b8", []

    def __init__(self, folder, program):
        super().__init__(folder, program)
        passed = [f"{self.first}:{keep}" for keep in (20, 50, 100, 200)] + [
            f"{self.first}:100,64:20", f"{self.first}:200,32:100,64:50,128:25,256:12"]
        self.settings = [f"{self.coarse}{one}/{rest},{self.dims}:{K}" for one in self.params() for rest in passed]

    def params(self):
        return [""]

    def build(self):
        self.make(["--codes", "16b8"])
        if self.add:
            self.add_kind(self.coarse, "--dims", "16", *self.add)


class Scan16(Prefix16):
    pass


class Lists16(Prefix16):
    coarse, add = "ivf_scan", ["--code", "16b8"]

    def params(self):
        lists = len(np.load(f"{self.folder}/base.npy", mmap_mode="r")) // 256  # so many at least
        return [f"(nprobe={one})" for one in (1, 2, 4, 8, 16, 32) if one <= lists]


class Graph16(Prefix16):
    coarse, first, add = "faiss", "16", ["--faiss-factory", "HNSW32"]

    def params(self):
        return [f"(efSearch={one})" for one in (16, 32, 64, 128, 256)]


class Rival:
    """Base of what runs in this process. A subclass has `settings`, build(), start() and ask()."""

    def __init__(self, folder):
        self.folder = folder
        self.base = np.load(f"{folder}/base.npy", mmap_mode="r")
        self.dims = self.base.shape[1]

    def path(self, suffix=""):
        return f"{self.folder}/{type(self).__name__}{suffix}"

    def singles(self, dims=None):
        """Blocks of f32 unit rows of the first `dims` dimensions."""
        for start in range(0, len(self.base), BLOCK):
            yield unit(np.asarray(self.base[start:start + BLOCK, :dims], np.float32))

    def run(self, settings, part, in_flight, count):
        queries, truth = (one[:count] for one in load(self.folder, part))
        found = {}
        for setting in settings:
            ask = self.ask(setting)
            ask(queries[:in_flight])
            start = time.perf_counter()
            ids = [np.asarray(ask(queries[i:i + in_flight])) for i in range(0, len(queries), in_flight)]
            spent = time.perf_counter() - start
            found[setting] = (recall(self.base, queries, np.concatenate(ids).astype(np.int64), truth),
                              spent * 1e3 / len(queries))
        return found

    def ids(self, settings, part, count):
        """The rows found: settings x queries x K."""
        queries = load(self.folder, part)[0][:count]
        return np.array([self.ask(setting)(queries) for setting in settings])


class FaissRival(Rival):
    """An index of the faiss-cpu wheel, in one file."""

    def build(self):
        if os.path.exists(self.path()):
            return
        import faiss
        faiss.omp_set_num_threads(THREADS)
        faiss.write_index(self.make(faiss), self.path())

    def start(self):
        import faiss
        self.faiss = faiss
        faiss.omp_set_num_threads(1)
        faiss.cvar.distance_compute_blas_threshold = 20  # 1.15's default keeps batches off the BLAS path
        self.index = faiss.read_index(self.path())

    def added(self, index, dims=None):
        for block in self.singles(dims):
            index.add(block)
        return index

    def graph(self, faiss, dims=None):
        """HNSW32 of the first `dims` dimensions."""
        index = faiss.IndexHNSWFlat(dims or self.dims, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 100
        return self.added(index, dims)

    def sample(self, count):
        pick = np.sort(np.random.default_rng(1).choice(len(self.base), min(count, len(self.base)), replace=False))
        return unit(np.asarray(self.base[pick], np.float32))

    def ask(self, setting):
        params = self.params(setting)
        return lambda queries: self.index.search(queries, K, params=params)[1]


class Flat(FaissRival):
    settings = ["exact"]

    def make(self, faiss):
        return self.added(faiss.IndexFlatIP(self.dims))

    def params(self, setting):
        return None


class Hnsw(FaissRival):
    """HNSW32 at full dimension, f32."""
    settings = [16, 24, 32, 48, 64, 96, 128, 192, 256, 512]

    def make(self, faiss):
        return self.graph(faiss)

    def params(self, setting):
        return self.faiss.SearchParametersHNSW(efSearch=setting)


class Refined(FaissRival):
    """A coarse index whose shortlist is scored again from f16 rows; settings are (shortlist, effort)."""

    def start(self):
        super().start()
        self.coarse = self.index
        rows = self.faiss.IndexScalarQuantizer(self.dims, self.faiss.ScalarQuantizer.QT_fp16,
                                               self.faiss.METRIC_INNER_PRODUCT)
        self.rows = self.added(rows)
        self.index = self.faiss.IndexRefine(self.coarse, self.rows)

    def params(self, setting):
        shortlist, effort = setting
        self.inner = self.coarse_params(effort)
        return self.faiss.IndexRefineSearchParameters(k_factor=shortlist / K, base_index_params=self.inner)


class Lists(Refined):
    """Inverted lists; a setting's effort is how many are looked at. A subclass has empty()."""

    def make(self, faiss):
        lists = 1 << int(np.log2(4 * np.sqrt(len(self.base))))
        index = self.empty(faiss, lists)
        index.train(self.sample(40 * lists))
        return self.added(index)

    def coarse_params(self, effort):
        return self.faiss.SearchParametersIVF(nprobe=effort)


class IvfPq(Lists):
    """IVF-PQ-FastScan, dims / 4 codes of 4 bits."""
    settings = [(200, 16), (200, 32), (400, 32), (400, 64), (400, 128), (1000, 128), (1000, 256), (2000, 512)]

    def empty(self, faiss, lists):
        return faiss.IndexIVFPQFastScan(faiss.IndexFlatIP(self.dims), self.dims, lists, self.dims // 4, 4,
                                        faiss.METRIC_INNER_PRODUCT, 32)


class IvfRabitq(Lists):
    """IVF-RaBitQ-FastScan, one bit a dimension."""
    settings = [(200, 16), (200, 32), (200, 64), (400, 64), (400, 128), (400, 256), (1000, 256), (1000, 512)]

    def empty(self, faiss, lists):
        return faiss.IndexIVFRaBitQFastScan(faiss.IndexFlatIP(self.dims), self.dims, lists,
                                            faiss.METRIC_INNER_PRODUCT)


class OfPrefix(Refined):
    """An index of a quarter of the dimensions, scored again at all: adaptive retrieval as others do it. A subclass
    has inner()."""

    def make(self, faiss):
        dims = self.dims // 4
        index = self.inner(faiss, dims)
        chain = faiss.IndexPreTransform(faiss.NormalizationTransform(dims, 2.0), index)
        chain.prepend_transform(faiss.RemapDimensionsTransform(self.dims, dims, False))
        self.parts = (index, chain)
        return chain


class HnswPrefix(OfPrefix):
    """HNSW32 of the prefix."""
    settings = [(50, 64), (100, 128), (200, 256), (500, 512), (1000, 1024)]

    def inner(self, faiss, dims):
        return self.graph(faiss, dims)

    def coarse_params(self, effort):
        self.hnsw = self.faiss.SearchParametersHNSW(efSearch=effort)
        return self.faiss.SearchParametersPreTransform(index_params=self.hnsw)


class FlatPrefix(OfPrefix):
    """Flat of the prefix; nothing but the shortlist is to be set."""
    settings = [(keep, 0) for keep in (20, 50, 100, 200)]

    def inner(self, faiss, dims):
        return self.added(faiss.IndexFlatIP(dims), dims)

    def coarse_params(self, effort):
        return None


class Svs(Rival):
    """Vamana over f16 of scalable-vs: degree 64, window 100."""
    settings = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512]

    def build(self):
        if os.path.exists(self.path()):
            return
        import svs
        parameters = svs.VamanaBuildParameters(graph_max_degree=64, window_size=100, alpha=0.95)
        index = svs.Vamana.build(parameters, np.asarray(self.base), svs.DistanceType.MIP, num_threads=THREADS)
        os.makedirs(self.path(".part"))
        index.save(*(f"{self.path('.part')}/{part}" for part in ("config", "graph", "data")))
        os.rename(self.path(".part"), self.path())

    def start(self):
        import svs
        rows = svs.VectorDataLoader(f"{self.path()}/data", svs.DataType.float16, dims=self.dims)
        self.index = svs.Vamana(f"{self.path()}/config", svs.GraphLoader(f"{self.path()}/graph"), rows,
                                svs.DistanceType.MIP, num_threads=1)

    def ask(self, setting):
        self.index.search_window_size = setting
        return lambda queries: self.index.search(queries, K)[0]


class Hnswlib(Rival):
    """hnswlib, M = 32, f32."""
    settings = [16, 32, 64, 128, 256, 512]

    def build(self):
        if os.path.exists(self.path()):
            return
        import hnswlib
        index = hnswlib.Index("ip", self.dims)
        index.init_index(len(self.base), M=32, ef_construction=100, random_seed=1)
        for block in self.singles():
            index.add_items(block, num_threads=THREADS)
        index.save_index(self.path())

    def start(self):
        import hnswlib
        self.index = hnswlib.Index("ip", self.dims)
        self.index.load_index(self.path(), len(self.base))
        self.index.set_num_threads(1)

    def ask(self, setting):
        self.index.set_ef(setting)
        return lambda queries: self.index.knn_query(queries, K, num_threads=1)[0]


class Usearch(Rival):
    """usearch, connectivity 32, values of `dtype`."""
    settings = [16, 32, 64, 128, 256, 512]
    dtype = "f16"

    def new(self):
        from usearch.index import Index
        return Index(ndim=self.dims, metric="ip", dtype=self.dtype, connectivity=32, expansion_add=128)

    def build(self):
        if os.path.exists(self.path()):
            return
        index, first = self.new(), 0
        for block in self.singles():
            index.add(np.arange(first, first + len(block)), block, threads=THREADS)
            first += len(block)
        index.save(self.path())

    def start(self):
        self.index = self.new()
        self.index.load(self.path())

    def ask(self, setting):
        self.index.expansion_search = setting
        return lambda queries: np.atleast_2d(self.index.search(queries, K, threads=1).keys)


class UsearchI8(Usearch):
    dtype = "i8"


RIVALS = {one.__name__: one for one in (Flat, FlatPrefix, Hnsw, HnswPrefix, IvfPq, IvfRabitq, Svs, Hnswlib, Usearch,
                                        UsearchI8)}
OURS = {"mrl": Mrl} | {one.__name__: one for one in (Scan16, Lists16, Graph16)}
