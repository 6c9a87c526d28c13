#include "index/coarse/centroids.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/check.h"
#include "base/status.h"
#include "index/coarse/scan_codes.h"
#include "index/coarse/shortlist.h"

namespace mrl::coarse {
namespace {

absl::StatusOr<CodeArray> Encode(Metric metric, uint32_t stored_dims, uint32_t dims,
                                 absl::Span<const float> vectors) {
  CodeArray array;
  array.code = {dims, 8};
  array.rows = static_cast<uint32_t>(vectors.size() / stored_dims);
  const size_t blocks = BlockCount(array.rows);
  MRL_ASSIGN_OR_RETURN(array.codes, Buffer::Allocate(blocks * BlockBytes(dims)));
  MRL_ASSIGN_OR_RETURN(array.blocks, Buffer::Allocate(blocks * sizeof(kernels::Int8Block)));
  if (metric == Metric::kL2) {
    MRL_ASSIGN_OR_RETURN(array.row_bias,
                         Buffer::Allocate(blocks * kernels::kBlockRows * sizeof(float)));
  }
  BlockEncoder encoder(metric, dims);
  for (size_t block = 0; block < blocks; ++block) {
    const size_t begin = block * kernels::kBlockRows;
    const size_t end = std::min<size_t>(array.rows, begin + kernels::kBlockRows);
    for (size_t row = begin; row < end; ++row) encoder.Add(vectors.data() + row * stored_dims);
    encoder.Encode(array.codes.As<uint8_t>() + block * BlockBytes(dims),
                   array.blocks.As<kernels::Int8Block>() + block,
                   metric == Metric::kL2 ? array.row_bias.As<float>() + begin : nullptr);
  }
  if (!array.SetNormMax()) return absl::DataLossError("centroids: a value is not finite");
  return array;
}

std::vector<uint32_t> StepsUpTo(const Schema& schema, uint32_t dims) {
  CHECK(schema.LevelOf(dims) >= 0);
  return {schema.ladder.begin(), schema.ladder.begin() + schema.LevelOf(dims) + 1};
}

}  // namespace

absl::StatusOr<Centroids> Centroids::Make(const Schema& schema, Metric metric, uint32_t dims,
                                          absl::Span<const float> vectors) {
  CHECK(!vectors.empty() && vectors.size() % dims == 0);
  Centroids centroids;
  centroids.metric_ = metric;
  for (const uint32_t step : StepsUpTo(schema, dims)) {
    MRL_ASSIGN_OR_RETURN(CodeArray array, Encode(centroids.metric_, dims, step, vectors));
    centroids.prefixes_.push_back(std::move(array));
  }
  return centroids;
}

uint64_t Centroids::MemoryBytes(const Schema& schema, uint32_t dims, uint64_t count) {
  uint64_t bytes = 0;
  for (const uint32_t step : StepsUpTo(schema, dims)) {
    bytes += BlockCount(count) * (BlockBytes(step) + sizeof(kernels::Int8Block));
    if (schema.metric == Metric::kL2) {
      bytes += BlockCount(count) * kernels::kBlockRows * sizeof(float);
    }
  }
  return bytes;
}

const CodeArray& Centroids::At(uint32_t dims) const {
  const auto at = std::find_if(prefixes_.begin(), prefixes_.end(),
                               [&](const CodeArray& array) { return array.code.dims == dims; });
  CHECK(at != prefixes_.end());
  return *at;
}

uint64_t Centroids::BytesAt(uint32_t dims) const {
  const CodeArray& array = At(dims);
  return array.codes.size() + array.row_bias.size();
}

std::vector<uint32_t> Centroids::Nearest(const float* query, uint32_t dims, uint32_t wanted) const {
  const CodeArray& array = At(dims);
  const QuantisedQuery quantised = QuantiseQuery(metric_, query, dims);
  const Int8Request request = {&array, metric_, &quantised, wanted, nullptr};
  std::vector<KeyedRow> found = *SearchEstimates(array, nullptr, {&request, 1}).front();
  CutByKeyThenRow(found, wanted);
  std::sort(found.begin(), found.end(), IsBefore);
  std::vector<uint32_t> lists;
  lists.reserve(found.size());
  for (const KeyedRow& row : found) lists.push_back(row.row);
  return lists;
}

void Centroids::AssignTile(absl::Span<const float* const> vectors, uint32_t* nearest) const {
  const CodeArray& array = prefixes_.back();
  std::vector<QuantisedQuery> queries;
  queries.reserve(vectors.size());
  for (const float* vector : vectors) {
    queries.push_back(QuantiseQuery(metric_, vector, array.code.dims));
  }
  std::vector<Int8Request> requests;
  requests.reserve(queries.size());
  for (const QuantisedQuery& query : queries) {
    requests.push_back({&array, metric_, &query, 1, nullptr});
  }
  const auto found = SearchEstimates(array, nullptr, requests);
  for (size_t i = 0; i < found.size(); ++i) {
    nearest[i] = std::min_element(found[i]->begin(), found[i]->end(), IsBefore)->row;
  }
}

absl::StatusOr<std::vector<uint32_t>> AssignAll(const Centroids& centroids, uint32_t rows,
                                                const BuildContext& context, const ReadRow& read) {
  std::vector<uint32_t> nearest(rows);
  std::atomic<uint32_t> next_tile = 0;
  std::atomic<bool> stopped = false;
  absl::Mutex mutex;
  absl::Status failed;
  const auto read_all = [&](uint32_t first, uint32_t count, float* out) {
    for (uint32_t i = 0; i < count; ++i) {
      absl::Status status = read(first + i, out + size_t{i} * centroids.dims());
      if (status.ok()) continue;
      absl::MutexLock lock(&mutex);
      failed.Update(status);
      stopped = true;
    }
  };
  const auto tiles = static_cast<uint32_t>((rows + kernels::kTileMax - 1) / kernels::kTileMax);
  const auto work = [&] {
    const size_t dims = centroids.dims();
    std::vector<float> values(kernels::kTileMax * dims);
    std::vector<const float*> vectors;
    for (size_t i = 0; i < kernels::kTileMax; ++i) vectors.push_back(values.data() + i * dims);
    for (uint32_t tile = next_tile++; tile < tiles; tile = next_tile++) {
      if (stopped || (context.stopped && context.stopped())) {
        stopped = true;
        return;
      }
      const auto first = static_cast<uint32_t>(tile * kernels::kTileMax);
      const auto count = std::min<uint32_t>(rows - first, kernels::kTileMax);
      read_all(first, count, values.data());
      centroids.AssignTile(absl::MakeConstSpan(vectors).first(count), nearest.data() + first);
    }
  };
  std::vector<std::thread> others;
  for (uint32_t i = 1; i < context.threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  MRL_RETURN_IF_ERROR(failed);
  if (stopped) return absl::CancelledError("ivf_scan: the build was stopped");
  return nearest;
}

}  // namespace mrl::coarse
