#include "index/coarse/stand_in.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/level_scorer.h"

namespace mrl::coarse {
namespace {

class StandIn final : public CoarseIndex {
 public:
  StandIn(std::string kind, std::shared_ptr<const store::Segment> segment)
      : kind_(std::move(kind)), segment_(std::move(segment)) {}

  absl::string_view kind() const override { return kind_; }
  std::string Describe() const override { return absl::StrCat("every row, for ", kind_); }
  uint32_t dims() const override { return 0; }
  uint64_t memory_bytes() const override { return 0; }

  absl::StatusOr<Result> Search(const Request& request) const override {
    MRL_ASSIGN_OR_RETURN(const size_t level, LevelOf(request.dims));
    if (request.keep == 0) return absl::InvalidArgumentError("keep is 0, the least is 1");
    MRL_ASSIGN_OR_RETURN(std::vector<KeyedRow> best,
                         ExactScan(*segment_, {.query = request.query,
                                               .level = level,
                                               .keep = request.keep,
                                               .allowed = request.allowed,
                                               .stopped = &request.stopped}));
    CutByKeyThenRow(best, request.keep);
    Result result;
    result.rows_scanned = CountAllowed(request.allowed, segment_->rows());
    result.bytes_touched = result.rows_scanned * segment_->schema().prefix_bytes(level);
    result.cold_bytes = result.rows_scanned * segment_->ColdRowBytes(0, level);
    for (const KeyedRow& row : best) {
      result.candidates.push_back({ScoreOfKey(segment_->schema().metric, row.key), row.row});
    }
    return result;
  }

  absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                        float* scores) const override {
    MRL_ASSIGN_OR_RETURN(const size_t level, LevelOf(code.dims));
    const LevelScorer scorer(*segment_, query, level);
    MRL_RETURN_IF_ERROR(segment_->Fetch(0, level, rows));
    for (size_t i = 0; i < rows.size(); ++i) {
      scores[i] = ScoreOfKey(segment_->schema().metric, scorer.Key(rows[i], level));
    }
    return segment_->CheckRead(level);
  }

 private:
  absl::StatusOr<size_t> LevelOf(uint32_t dims) const {
    const int level = segment_->schema().LevelOf(dims);
    if (level >= 0) return static_cast<size_t>(level);
    return absl::InvalidArgumentError(absl::StrCat(kind_, ": ", dims,
                                                   " dims are not on the ladder ",
                                                   FormatLadder(segment_->schema().ladder)));
  }

  const std::string kind_;
  const std::shared_ptr<const store::Segment> segment_;
};

}  // namespace

std::shared_ptr<const CoarseIndex> MakeStandIn(std::string kind,
                                               std::shared_ptr<const store::Segment> segment) {
  return std::make_shared<StandIn>(std::move(kind), std::move(segment));
}

}  // namespace mrl::coarse
