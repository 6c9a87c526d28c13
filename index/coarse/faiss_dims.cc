#include "index/coarse/faiss_dims.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/faiss_library.h"
#include "index/coarse/faiss_rows.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse {
namespace {

constexpr uint64_t kSampleRows = 8192;
constexpr uint64_t kQueries = 200;
constexpr size_t kNeighbours = 10;
constexpr size_t kShortlist = 100;

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

// "PQ32x4" of "OPQ32_128,IVF1024,PQ32x4fs"; "" where there is none.
std::string QuantiserOf(absl::string_view factory) {
  for (const absl::string_view part : absl::StrSplit(factory, absl::ByAnyChar(",_+"))) {
    if (!absl::StartsWith(part, "PQ")) continue;
    size_t end = 2;
    while (end < part.size() && (IsDigit(part[end]) || part[end] == 'x')) ++end;
    return std::string(part.substr(0, end));
  }
  return "";
}

// What stands for `factory` on `dims` where only the quantiser's worth is asked: its transforms, a
// random rotation in place of a learned one, and the quantiser.
std::string StandIn(absl::string_view factory, uint32_t dims) {
  std::string made;
  for (const absl::string_view part : absl::StrSplit(factory, ',')) {
    if (absl::StartsWith(part, "OPQ")) {
      const size_t given = part.find('_');
      absl::StrAppend(
          &made, "RR",
          given == absl::string_view::npos ? absl::StrCat(dims) : part.substr(given + 1), ",");
    } else if (absl::StartsWith(part, "PCA") || absl::StartsWith(part, "RR") ||
               absl::StartsWith(part, "Pad")) {
      absl::StrAppend(&made, part, ",");
    } else {
      break;
    }
  }
  return made + QuantiserOf(factory);
}

// Rows spread over a segment, some of them as queries, and who is nearest to those.
class Sampled {
 public:
  static absl::StatusOr<Sampled> Of(const store::Segment& segment,
                                    const std::function<bool()>& stopped) {
    Sampled sampled(segment);
    MRL_RETURN_IF_ERROR(sampled.FindNearest(stopped));
    return sampled;
  }

  // The share of the nearest that `quantiser` finds by the prefixes at `level`.
  absl::StatusOr<double> Share(FaissLibrary& quantiser, size_t level, uint32_t threads) const {
    MRL_ASSIGN_OR_RETURN(const std::vector<float> vectors,
                         FaissRows(segment_, level, 0, stride_, rows_));
    MRL_RETURN_IF_ERROR(quantiser.Train(vectors, threads));
    MRL_RETURN_IF_ERROR(quantiser.Add(vectors, threads));
    const size_t dims = segment_.schema().ladder[level];
    size_t found = 0;
    size_t all = 0;
    for (uint64_t query = 0; query < nearest_.size(); ++query) {
      MRL_ASSIGN_OR_RETURN(
          const FaissLibrary::Found list,
          quantiser.Search(vectors.data() + RowOf(query) * dims, kShortlist + 1, nullptr, {}));
      for (const KeyedRow& near : nearest_[query]) {
        found += static_cast<size_t>(
            std::count_if(list.rows.begin(), list.rows.end(),
                          [&](const KeyedRow& one) { return one.row * stride_ == near.row; }));
      }
      all += nearest_[query].size();
    }
    return static_cast<double>(found) / static_cast<double>(std::max<size_t>(1, all));
  }

 private:
  explicit Sampled(const store::Segment& segment)
      : segment_(segment),
        stride_((segment.rows() + kSampleRows - 1) / kSampleRows),
        rows_((segment.rows() + stride_ - 1) / stride_) {}

  // The sampled row, numbered within the sample, that is this query.
  uint64_t RowOf(uint64_t query) const { return query * rows_ / nearest_.size(); }
  uint32_t SegmentRow(uint64_t query) const {
    return static_cast<uint32_t>(RowOf(query) * stride_);
  }

  absl::Status FindNearest(const std::function<bool()>& stopped) {
    const Schema& schema = segment_.schema();
    const size_t last = schema.levels() - 1;
    std::vector<uint64_t> allowed((segment_.rows() + 63) / 64);
    for (uint64_t row = 0; row < segment_.rows(); row += stride_) {
      allowed[row / 64] |= uint64_t{1} << (row % 64);
    }
    nearest_.resize(std::min(rows_, kQueries));
    std::vector<float> queries(kernels::kTileMax * schema.dim);
    for (uint64_t begin = 0; begin < nearest_.size(); begin += kernels::kTileMax) {
      const uint64_t count = std::min<uint64_t>(kernels::kTileMax, nearest_.size() - begin);
      std::vector<ExactRequest> tile;
      for (uint64_t i = 0; i < count; ++i) {
        float* query = queries.data() + i * schema.dim;
        MRL_RETURN_IF_ERROR(segment_.Prefix(SegmentRow(begin + i), last, query));
        tile.push_back({query, last, kNeighbours + 1, allowed.data(), &stopped});
      }
      auto found = ExactScanTile(segment_, tile);
      for (uint64_t i = 0; i < count; ++i) {
        MRL_ASSIGN_OR_RETURN(nearest_[begin + i], std::move(found[i]));
        std::erase_if(nearest_[begin + i], [self = SegmentRow(begin + i)](const KeyedRow& one) {
          return one.row == self;
        });
        CutByKeyThenRow(nearest_[begin + i], kNeighbours);
      }
    }
    return absl::OkStatus();
  }

  const store::Segment& segment_;
  const uint64_t stride_;                       // of the sample's rows in the segment
  const uint64_t rows_;                         // in the sample
  std::vector<std::vector<KeyedRow>> nearest_;  // of each query
};

}  // namespace

bool HasProductQuantiser(absl::string_view factory) { return !QuantiserOf(factory).empty(); }

absl::StatusOr<uint32_t> ChooseFaissDims(const store::Segment& segment, const std::string& factory,
                                         const BuildContext& context) {
  const Schema& schema = segment.schema();
  absl::Status refused;
  std::vector<std::pair<size_t, std::unique_ptr<FaissLibrary>>>
      trials;  // of levels that can hold it
  for (size_t level = 0; level < schema.levels(); ++level) {
    const uint32_t dims = schema.ladder[level];
    auto stand_in = FaissLibrary::Make(StandIn(factory, dims), dims, schema.metric);
    absl::Status made = FaissLibrary::Make(factory, dims, schema.metric).status();
    made.Update(stand_in.status());
    if (made.ok()) {
      trials.emplace_back(level, *std::move(stand_in));
    } else {
      refused = made;
    }
  }
  if (trials.empty()) return refused;
  MRL_ASSIGN_OR_RETURN(const Sampled sampled, Sampled::Of(segment, context.stopped));
  uint32_t best = 0;
  double best_share = -1;
  for (const auto& [level, quantiser] : trials) {
    if (IsStopped(context.stopped)) return absl::CancelledError("faiss: the build was stopped");
    MRL_ASSIGN_OR_RETURN(const double share, sampled.Share(*quantiser, level, context.threads));
    if (share > best_share) {
      best = schema.ladder[level];
      best_share = share;
    }
  }
  return best;
}

}  // namespace mrl::coarse
