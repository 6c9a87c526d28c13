#include "index/coarse/faiss_library.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexLSH.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/VectorTransform.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/impl/io.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <numbers>
#include <typeinfo>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/faiss_version.h"
#include "index/coarse/omp_threads.h"
#include "index/coarse/whole_param.h"

namespace mrl::coarse {
namespace {

constexpr uint32_t kParamMax = 1'000'000;

// Runs `call` on so many threads; an exception becomes a status of `code` with its text.
absl::Status Guard(absl::StatusCode code, absl::string_view what, const std::function<void()>& call,
                   uint32_t threads = 1) {
  const OmpThreads omp_threads(static_cast<int>(threads));
  try {
    call();
    return absl::OkStatus();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("faiss: ", what, ": out of memory"));
  } catch (const std::exception& error) {
    return absl::Status(code, absl::StrCat("faiss: ", what, ": ", error.what()));
  } catch (...) {
    return absl::Status(code, absl::StrCat("faiss: ", what, ": an exception without a text"));
  }
}

// Keeps FAISS from printing advice on the size of training sets, and from training product
// quantisers for a search by Hamming distance that nobody asks for here: it takes minutes.
void Silence(faiss::Index* index) {
  index->verbose = false;
  if (auto* outer = dynamic_cast<faiss::IndexPreTransform*>(index)) Silence(outer->index);
  if (auto* hnsw = dynamic_cast<faiss::IndexHNSW*>(index)) Silence(hnsw->storage);
  if (auto* ivf = dynamic_cast<faiss::IndexIVF*>(index)) ivf->cp.min_points_per_centroid = 1;
  if (auto* ivfpq = dynamic_cast<faiss::IndexIVFPQ*>(index)) {
    ivfpq->pq.cp.min_points_per_centroid = 1;
    ivfpq->do_polysemous_training = false;
  }
  if (auto* pq = dynamic_cast<faiss::IndexPQ*>(index)) {
    pq->pq.cp.min_points_per_centroid = 1;
    pq->do_polysemous_training = false;
  }
}

using Quantizers = std::vector<std::unique_ptr<faiss::ProductQuantizer>>;

// As Silence, for the quantisers that rotations (OPQ) train beside that of the index; FAISS leaves
// what they are given to the giver.
Quantizers SilenceRotations(faiss::Index* index) {
  Quantizers given;
  auto* outer = dynamic_cast<faiss::IndexPreTransform*>(index);
  if (outer == nullptr) return given;
  for (faiss::VectorTransform* transform : outer->chain) {
    auto* rotation = dynamic_cast<faiss::OPQMatrix*>(transform);
    if (rotation == nullptr) continue;
    given.push_back(std::make_unique<faiss::ProductQuantizer>(rotation->d_out, rotation->M, 8));
    given.back()->cp.min_points_per_centroid = 1;
    rotation->pq = given.back().get();
  }
  return given;
}

struct Made {
  Quantizers quantizers;  // that `index` points to
  std::unique_ptr<faiss::Index> index;
};
absl::StatusOr<Made> MakeFor(bool inner_product, const std::string& factory, uint32_t dims) {
  Made made;
  MRL_RETURN_IF_ERROR(Guard(
      absl::StatusCode::kInvalidArgument, absl::StrCat("the factory string `", factory, "`"), [&] {
        made.index.reset(
            faiss::index_factory(static_cast<int>(dims), factory.c_str(),
                                 inner_product ? faiss::METRIC_INNER_PRODUCT : faiss::METRIC_L2));
        Silence(made.index.get());
        made.quantizers = SilenceRotations(made.index.get());
      }));
  return made;
}

// A bitmap of 64-bit words as FAISS asks it.
struct AllowedRows : faiss::IDSelector {
  explicit AllowedRows(const uint64_t* words) : allowed(words) {}
  bool is_member(FaissId id) const override {
    return IsAllowed(allowed, static_cast<uint32_t>(id));
  }
  const uint64_t* allowed;
};

}  // namespace

class FaissLibrary::Impl {
 public:
  explicit Impl(Made made) : quantizers(std::move(made.quantizers)), index(std::move(made.index)) {
    const faiss::Index* inner = index.get();
    if (const auto* outer = dynamic_cast<const faiss::IndexPreTransform*>(inner)) {
      pre_transformed = true;
      inner = outer->index;
    }
    ivf = dynamic_cast<const faiss::IndexIVF*>(inner);
    hnsw = dynamic_cast<const faiss::IndexHNSW*>(inner);
    signs = dynamic_cast<const faiss::IndexLSH*>(inner);
  }

  size_t Nprobe(const Params& params) const {
    const auto given = params.find("nprobe");
    return std::min(given != params.end() ? static_cast<size_t>(given->second) : ivf->nprobe,
                    ivf->nlist);
  }
  // A graph returns no more rows than its search list is long.
  int EfSearch(const Params& params, size_t keep) const {
    const auto given = params.find("efSearch");
    const int wanted =
        given != params.end() ? static_cast<int>(given->second) : hnsw->hnsw.efSearch;
    return std::max(wanted, static_cast<int>(keep));
  }

  void Search(const float* query, size_t keep, faiss::IDSelector* selector, const Params& params,
              std::vector<float>& distances, std::vector<FaissId>& labels) const {
    faiss::SearchParameters plain;
    faiss::SearchParametersIVF for_ivf;
    faiss::SearchParametersHNSW for_hnsw;
    faiss::SearchParameters* chosen = selector != nullptr ? &plain : nullptr;
    if (ivf != nullptr) {
      for_ivf.nprobe = Nprobe(params);
      chosen = &for_ivf;
    } else if (hnsw != nullptr) {
      for_hnsw.efSearch = EfSearch(params, keep);
      chosen = &for_hnsw;
    }
    if (chosen != nullptr) chosen->sel = selector;
    faiss::SearchParametersPreTransform wrapped;
    wrapped.index_params = chosen;
    const bool wrap = pre_transformed && chosen != nullptr;
    index->search(1, query, static_cast<FaissId>(keep), distances.data(), labels.data(),
                  wrap ? &wrapped : chosen);
  }

  uint64_t RowsScanned(const Params& params, size_t keep) const {
    const auto rows = static_cast<uint64_t>(index->ntotal);
    if (ivf != nullptr) return rows * Nprobe(params) / ivf->nlist;
    if (hnsw == nullptr) return rows;
    const auto links = static_cast<uint64_t>(hnsw->hnsw.nb_neighbors(0));
    return std::min(rows, static_cast<uint64_t>(EfSearch(params, keep)) * links);
  }

  const Quantizers quantizers;  // that `index` points to
  std::unique_ptr<faiss::Index> index;
  const faiss::IndexIVF* ivf = nullptr;    // the index that takes nprobe
  const faiss::IndexHNSW* hnsw = nullptr;  // the index that takes efSearch
  const faiss::IndexLSH* signs = nullptr;  // an index whose distances count bits
  bool pre_transformed = false;
};

namespace {

absl::Status CheckParams(const std::vector<std::string>& known, const Params& params) {
  for (const auto& [name, value] : params) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "faiss: unknown parameter `", name,
          "`, this index takes: ", known.empty() ? "none" : absl::StrJoin(known, ", ")));
    }
    MRL_RETURN_IF_ERROR(CheckWhole("faiss", name, value, kParamMax));
  }
  return absl::OkStatus();
}

// Labels that are rows and allowed, with keys that grow with nearness.
std::vector<KeyedRow> Collect(bool inner_product, const std::vector<float>& distances,
                              const std::vector<FaissId>& labels, const uint64_t* allowed) {
  std::vector<KeyedRow> rows;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0) continue;  // fewer found than asked for
    const auto row = static_cast<uint32_t>(labels[i]);
    if (IsAllowed(allowed, row))
      rows.push_back({inner_product ? distances[i] : -distances[i], row});
  }
  return rows;
}

}  // namespace

FaissLibrary::FaissLibrary(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FaissLibrary::~FaissLibrary() = default;

absl::StatusOr<std::unique_ptr<FaissLibrary>> FaissLibrary::Make(const std::string& factory,
                                                                 uint32_t dims, Metric metric) {
  auto made = MakeFor(LargerIsNearer(metric), factory, dims);
  if (metric == Metric::kCosine && !made.ok()) {
    auto by_distance = MakeFor(false, factory, dims);
    if (by_distance.ok()) made = std::move(by_distance);
  }
  MRL_RETURN_IF_ERROR(made.status());
  std::unique_ptr<FaissLibrary> library(new FaissLibrary(std::make_unique<Impl>(*std::move(made))));
  // Some strings give an index for L2 whatever was asked for; bits that differ are no such
  // distance.
  const bool is_told = metric != Metric::kL2 || library->impl_->signs == nullptr;
  if (library->Serves(metric) && is_told) return library;
  return absl::InvalidArgumentError(absl::StrCat(
      "faiss: the factory string `", factory, "` has no index for the metric ", ToString(metric)));
}

absl::StatusOr<std::unique_ptr<FaissLibrary>> FaissLibrary::Parse(std::vector<uint8_t> bytes) {
  faiss::VectorIOReader reader;
  reader.data = std::move(bytes);
  std::unique_ptr<faiss::Index> index;
  MRL_RETURN_IF_ERROR(Guard(absl::StatusCode::kDataLoss, "reading an index",
                            [&] { index.reset(faiss::read_index(&reader)); }));
  return std::unique_ptr<FaissLibrary>(
      new FaissLibrary(std::make_unique<Impl>(Made{{}, std::move(index)})));
}

std::unique_ptr<FaissLibrary> FaissLibrary::Adopt(std::unique_ptr<faiss::Index> index) {
  return std::unique_ptr<FaissLibrary>(
      new FaissLibrary(std::make_unique<Impl>(Made{{}, std::move(index)})));
}

const faiss::Index& FaissLibrary::index() const { return *impl_->index; }

namespace {

// Of exactly one of these classes: what derives from them does more than its copy would.
template <typename... Classes>
bool IsOne(const faiss::Index& index) {
  return ((typeid(index) == typeid(Classes)) || ...);
}

bool IsFlat(const faiss::Index& index) {
  return IsOne<faiss::IndexFlat, faiss::IndexFlatL2, faiss::IndexFlatIP>(index);
}

}  // namespace

FaissLibrary::GpuForm FaissLibrary::gpu_form() const {
  const faiss::Index& index = *impl_->index;
  if (IsFlat(index)) return GpuForm::kFlat;
  const bool lists =
      IsOne<faiss::IndexIVFFlat, faiss::IndexIVFPQ, faiss::IndexIVFScalarQuantizer>(index);
  return lists && IsFlat(*impl_->ivf->quantizer) ? GpuForm::kLists : GpuForm::kNone;
}

absl::Status FaissLibrary::CheckParams(const Params& params) const {
  return coarse::CheckParams(param_names(), params);
}
size_t FaissLibrary::Nprobe(const Params& params) const {
  return impl_->ivf == nullptr ? 0 : impl_->Nprobe(params);
}
uint64_t FaissLibrary::RowsScanned(const Params& params, size_t keep) const {
  return impl_->RowsScanned(params, keep);
}

uint32_t FaissLibrary::dims() const { return static_cast<uint32_t>(impl_->index->d); }
uint64_t FaissLibrary::rows() const { return static_cast<uint64_t>(impl_->index->ntotal); }
bool FaissLibrary::inner_product() const {
  return impl_->index->metric_type == faiss::METRIC_INNER_PRODUCT;
}
bool FaissLibrary::Serves(Metric metric) const {
  if (metric == Metric::kCosine) return true;
  return inner_product() == LargerIsNearer(metric);
}
float FaissLibrary::ScoreOf(Metric metric, float key) const {
  if (metric != Metric::kCosine || inner_product()) return ScoreOfKey(metric, key);
  // The key is a distance below zero: in bits that differ, or squared between unit vectors.
  if (impl_->signs != nullptr) {
    const double angle = -key / static_cast<double>(impl_->signs->nbits) * std::numbers::pi;
    return static_cast<float>(std::cos(angle));
  }
  return 1 + key / 2;
}
bool FaissLibrary::needs_training() const { return !impl_->index->is_trained; }

std::vector<std::string> FaissLibrary::param_names() const {
  if (impl_->ivf != nullptr) return {"nprobe"};
  if (impl_->hnsw != nullptr) return {"efSearch"};
  return {};
}

absl::Status FaissLibrary::Train(absl::Span<const float> vectors, uint32_t threads) {
  const auto train = [&] {
    impl_->index->train(static_cast<FaissId>(vectors.size() / dims()), vectors.data());
  };
  return Guard(absl::StatusCode::kInvalidArgument, "training", train, threads);
}

absl::Status FaissLibrary::Add(absl::Span<const float> vectors, uint32_t threads) {
  const auto add = [&] {
    impl_->index->add(static_cast<FaissId>(vectors.size() / dims()), vectors.data());
  };
  return Guard(absl::StatusCode::kInvalidArgument, "adding rows", add, threads);
}

absl::StatusOr<std::vector<uint8_t>> FaissLibrary::Serialise() const {
  faiss::VectorIOWriter writer;
  MRL_RETURN_IF_ERROR(Guard(absl::StatusCode::kInvalidArgument, "writing an index",
                            [&] { faiss::write_index(impl_->index.get(), &writer); }));
  return std::move(writer.data);
}

absl::StatusOr<FaissLibrary::Found> FaissLibrary::Search(const float* query, size_t keep,
                                                         const uint64_t* allowed,
                                                         const Params& params) const {
  MRL_RETURN_IF_ERROR(CheckParams(params));
  Found found;
  const size_t all = rows();
  const size_t wanted = std::min<size_t>(keep, CountAllowed(allowed, static_cast<uint32_t>(all)));
  if (wanted == 0) return found;
  AllowedRows selector(allowed);
  bool selects = allowed != nullptr;
  size_t fetch = wanted;
  while (true) {
    std::vector<float> distances(fetch);
    std::vector<FaissId> labels(fetch, -1);
    const absl::Status status = Guard(absl::StatusCode::kInternal, "searching", [&] {
      impl_->Search(query, fetch, selects ? &selector : nullptr, params, distances, labels);
    });
    if (!status.ok() && selects) {  // this index takes no selector: fetch more instead
      selects = false;
      continue;
    }
    MRL_RETURN_IF_ERROR(status);
    found.rows_scanned += impl_->RowsScanned(params, fetch);
    found.rows = Collect(inner_product(), distances, labels, allowed);
    if (allowed == nullptr || selects || found.rows.size() >= wanted || fetch == all) break;
    fetch = std::min(all, 2 * fetch);
  }
  return found;
}

}  // namespace mrl::coarse
