// k-means: faiss::Clustering moves the centres, our own scan finds the nearest ones.
#include <faiss/Clustering.h>
#include <faiss/Index.h>

#include <cmath>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/centroids.h"
#include "index/coarse/faiss_version.h"

namespace mrl::coarse {
namespace {

constexpr int kIterations = 10;

// Leaves faiss::Clustering from within.
struct Stopped : std::exception {};

// What faiss::Clustering assigns vectors with. Only what it calls is there.
class NearestCentroid final : public faiss::Index {
 public:
  NearestCentroid(const Schema& schema, uint32_t dims, const BuildContext& context)
      : faiss::Index(dims, schema.metric == Metric::kCosine ? faiss::METRIC_INNER_PRODUCT
                                                            : faiss::METRIC_L2),
        schema_(schema),
        context_(context) {}

  void add(FaissId n, const float* x) override {
    centres_.assign(x, x + n * d);
    ntotal = n;
    absl::StatusOr<Centroids> made =
        Centroids::Make(schema_, MetricOfLists(schema_.metric), static_cast<uint32_t>(d), centres_);
    if (!made.ok()) throw std::bad_alloc();
    centroids_ = *std::move(made);
  }
  void reset() override { ntotal = 0; }
  void search(FaissId n, const float* x, FaissId k, float* distances, FaissId* labels,
              const faiss::SearchParameters*) const override {
    CHECK(k == 1);
    const auto read = [&](uint32_t row, float* out) {
      std::copy_n(x + static_cast<size_t>(row) * d, d, out);
      return absl::OkStatus();
    };
    const auto nearest = AssignAll(centroids_, static_cast<uint32_t>(n), context_, read);
    if (!nearest.ok()) throw Stopped();
    for (FaissId i = 0; i < n; ++i) {
      labels[i] = (*nearest)[i];
      distances[i] = Distance(x + i * d, centres_.data() + size_t{(*nearest)[i]} * d);
    }
  }

 private:
  float Distance(const float* a, const float* b) const {
    const kernels::Table& table = kernels::Active();
    return metric_type == faiss::METRIC_L2 ? table.l2_f32(a, b, d) : table.dot_f32(a, b, d);
  }

  const Schema& schema_;
  const BuildContext& context_;
  std::vector<float> centres_;
  Centroids centroids_;
};

void Normalise(std::vector<float>& vectors, size_t dims) {
  for (size_t begin = 0; begin < vectors.size(); begin += dims) {
    double squares = 0;
    for (size_t i = begin; i < begin + dims; ++i) {
      squares += static_cast<double>(vectors[i]) * vectors[i];
    }
    if (squares == 0) continue;
    const auto factor = static_cast<float>(1 / std::sqrt(squares));
    for (size_t i = begin; i < begin + dims; ++i) vectors[i] *= factor;
  }
}

}  // namespace

absl::StatusOr<std::vector<float>> TrainCentroids(const Schema& schema, uint32_t dims,
                                                  uint32_t lists, const BuildContext& context,
                                                  std::vector<float> vectors) {
  const size_t count = vectors.size() / dims;
  if (count < lists) {
    return absl::InvalidArgumentError(
        absl::StrCat("ivf_scan: ", lists, " lists need as many rows at least, there are ", count));
  }
  if (schema.metric == Metric::kCosine) Normalise(vectors, dims);
  faiss::ClusteringParameters parameters;
  parameters.niter = kIterations;
  parameters.spherical = schema.metric == Metric::kCosine;
  parameters.min_points_per_centroid = 1;
  parameters.max_points_per_centroid = static_cast<int>(count / lists + 1);  // all that are given
  parameters.seed = 1234;
  try {
    NearestCentroid nearest(schema, dims, context);
    faiss::Clustering clustering(static_cast<int>(dims), static_cast<int>(lists), parameters);
    clustering.train(static_cast<FaissId>(count), vectors.data(), nearest);
    return std::move(clustering.centroids);
  } catch (const Stopped&) {
    return absl::CancelledError("ivf_scan: the build was stopped");
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("ivf_scan: k-means: out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("ivf_scan: k-means: ", error.what()));
  }
}

}  // namespace mrl::coarse
