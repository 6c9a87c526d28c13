#include "index/coarse/faiss_dims.h"

#include <algorithm>
#include <cctype>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/faiss_library.h"
#include "index/coarse/faiss_rows.h"

namespace mrl::coarse {
namespace {

constexpr uint64_t kSampleRows = 8192;
constexpr uint64_t kQueries = 200;
constexpr size_t kNeighbours = 10;
constexpr size_t kShortlist = 100;

// "PQ32x4" of "OPQ32_128,IVF1024,PQ32x4fs"; "" where there is none.
std::string QuantiserOf(absl::string_view factory) {
  for (const absl::string_view part : absl::StrSplit(factory, absl::ByAnyChar(",_+"))) {
    if (!absl::StartsWith(part, "PQ")) continue;
    size_t end = 2;
    while (end < part.size() && (std::isdigit(part[end]) != 0 || part[end] == 'x')) ++end;
    return std::string(part.substr(0, end));
  }
  return "";
}

bool IsRotated(absl::string_view factory) { return absl::StartsWith(factory, "OPQ"); }

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
        rows_(std::min<uint64_t>(segment.rows(), kSampleRows)),
        stride_(segment.rows() / std::max<uint64_t>(1, rows_)) {}

  // The sampled row, numbered within the sample, that is this query.
  uint64_t RowOf(uint64_t query) const { return query * rows_ / nearest_.size(); }

  absl::Status FindNearest(const std::function<bool()>& stopped) {
    const Schema& schema = segment_.schema();
    std::vector<uint64_t> allowed((segment_.rows() + 63) / 64);
    for (uint64_t row = 0; row < rows_ * stride_; row += stride_) {
      allowed[row / 64] |= uint64_t{1} << (row % 64);
    }
    nearest_.resize(std::min(rows_, kQueries));
    std::vector<float> query(schema.dim);
    for (uint64_t i = 0; i < nearest_.size(); ++i) {
      const auto self = static_cast<uint32_t>(RowOf(i) * stride_);
      MRL_RETURN_IF_ERROR(segment_.Prefix(self, schema.levels() - 1, query.data()));
      MRL_ASSIGN_OR_RETURN(nearest_[i], ExactScan(segment_, {.query = query.data(),
                                                             .level = schema.levels() - 1,
                                                             .keep = kNeighbours + 1,
                                                             .allowed = allowed.data(),
                                                             .stopped = &stopped}));
      std::erase_if(nearest_[i], [self](const KeyedRow& one) { return one.row == self; });
      CutByKeyThenRow(nearest_[i], kNeighbours);
    }
    return absl::OkStatus();
  }

  const store::Segment& segment_;
  const uint64_t rows_;
  const uint64_t stride_;                       // of the sample's rows in the segment
  std::vector<std::vector<KeyedRow>> nearest_;  // of each query
};

}  // namespace

bool HasProductQuantiser(absl::string_view factory) { return !QuantiserOf(factory).empty(); }

absl::StatusOr<uint32_t> ChooseFaissDims(const store::Segment& segment, const std::string& factory,
                                         const BuildContext& context) {
  const Schema& schema = segment.schema();
  const std::string quantiser = QuantiserOf(factory);
  MRL_ASSIGN_OR_RETURN(const Sampled sampled, Sampled::Of(segment, context.stopped));
  uint32_t best = 0;
  double best_share = -1;
  absl::Status refused;
  for (size_t level = 0; level < schema.levels(); ++level) {
    if (IsStopped(context.stopped)) return absl::CancelledError("faiss: the build was stopped");
    const uint32_t dims = schema.ladder[level];
    const absl::Status whole = FaissLibrary::Make(factory, dims, schema.metric).status();
    if (!whole.ok()) {  // it cannot be cut into so many parts
      refused = whole;
      continue;
    }
    const std::string alone =
        IsRotated(factory) ? absl::StrCat("RR", dims, ",", quantiser) : quantiser;
    MRL_ASSIGN_OR_RETURN(const auto library, FaissLibrary::Make(alone, dims, schema.metric));
    MRL_ASSIGN_OR_RETURN(const double share, sampled.Share(*library, level, context.threads));
    if (share > best_share) {
      best = dims;
      best_share = share;
    }
  }
  if (best == 0) return refused;
  return best;
}

}  // namespace mrl::coarse
