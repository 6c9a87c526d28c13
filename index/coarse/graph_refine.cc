#include "index/coarse/graph_refine.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/buffer.h"
#include "base/for_each.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/faiss_rows.h"
#include "index/coarse/graph_walk.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse {
namespace {

constexpr uint32_t kOfferedMin = 100;  // rows that a walk finds for one; 200 gain nothing
// How much nearer a linked row must be. 1.1 and 1.35 find less at the same cost.
constexpr float kAlpha = 1.2F;
constexpr size_t kReverseMax = 512;  // of the rows that chose one, so many are offered to it
constexpr size_t kRowsAtOnce = 256;

// Rows that one may be linked to, and the best of them. Keeps its memory from row to row.
class Chooser {
 public:
  Chooser(const GraphRows& rows, size_t level)
      : rows_(rows), level_(level), dims_(rows.segment.schema().ladder[level]) {}

  // The prefix of `row` with a norm of 1; zeros where it has none.
  absl::Status Load(uint32_t row, float* out) const {
    MRL_RETURN_IF_ERROR(rows_.segment.Prefix(rows_.at[row], level_, out));
    Normalise(out, dims_);
    return absl::OkStatus();
  }

  // Cuts `rows` to `most` that `from` is to be linked to: a row goes where one that is linked
  // already lies so much nearer to it that it leads there. Of equal rows one stays.
  absl::Status Choose(const float* from, size_t most, std::vector<uint32_t>& rows) {
    if (vectors_.size() < rows.size() * dims_) vectors_.resize(rows.size() * dims_);
    MRL_RETURN_IF_ERROR(Fetch(rows));
    offered_.clear();
    for (size_t i = 0; i < rows.size(); ++i) {
      float* vector = vectors_.data() + i * dims_;
      MRL_RETURN_IF_ERROR(Load(rows[i], vector));
      offered_.push_back({Distance(from, vector), rows[i], vector});
    }
    std::sort(offered_.begin(), offered_.end(), [](const Offered& a, const Offered& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
    });
    chosen_.clear();
    rows.clear();
    for (const Offered& row : offered_) {
      const bool is_led_to = std::any_of(chosen_.begin(), chosen_.end(), [&](const float* other) {
        return kAlpha * Distance(other, row.vector) <= row.distance;
      });
      if (is_led_to) continue;
      chosen_.push_back(row.vector);
      rows.push_back(row.row);
      if (rows.size() == most) break;
    }
    return absl::OkStatus();
  }

  size_t dims() const { return dims_; }

 private:
  struct Offered {
    float distance;
    uint32_t row;
    const float* vector;
  };

  // Half the squared distance of vectors of norm 1; 0 where only rounding makes a difference.
  float Distance(const float* a, const float* b) const {
    constexpr float kRounding = 1e-6F;
    const float distance = 1 - table_.dot_f32(a, b, dims_);
    return distance > kRounding ? distance : 0;
  }

  absl::Status Fetch(const std::vector<uint32_t>& rows) const {
    if (level_ < rows_.segment.hot_levels()) return absl::OkStatus();
    std::vector<uint32_t> at(rows.size());
    std::transform(rows.begin(), rows.end(), at.begin(),
                   [this](uint32_t row) { return rows_.at[row]; });
    return rows_.segment.Fetch(0, level_, at);
  }

  const GraphRows& rows_;
  const size_t level_;
  const size_t dims_;
  const kernels::Table& table_ = kernels::Active();
  std::vector<float> vectors_;
  std::vector<Offered> offered_;
  std::vector<const float*> chosen_;
};

void Unite(std::vector<uint32_t>& rows) {
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
}

void Put(const std::vector<uint32_t>& rows, uint32_t row, GraphLinks& links) {
  std::copy(rows.begin(), rows.end(), links.rows.As<uint32_t>() + size_t{row} * links.degree);
}

// For each row those that are linked to it, in order.
struct Reverse {
  Buffer begins;  // u64, one more than rows
  Buffer rows;    // u32

  static absl::StatusOr<Reverse> Of(const GraphLinks& links, uint32_t count);
  absl::Span<const uint32_t> of(uint32_t row) const {
    const auto* begin = begins.As<uint64_t>() + row;
    return {rows.As<uint32_t>() + begin[0], begin[1] - begin[0]};
  }
};

absl::StatusOr<Reverse> Reverse::Of(const GraphLinks& links, uint32_t count) {
  Reverse reverse;
  MRL_ASSIGN_OR_RETURN(reverse.begins, Buffer::Allocate((size_t{count} + 2) * sizeof(uint64_t)));
  // Counted one place later, and filled one earlier: each end becomes the next begin.
  auto* ends = reverse.begins.As<uint64_t>() + 1;
  for (uint32_t row = 0; row < count; ++row) {
    for (const uint32_t other : links.all_of(row)) ++ends[other + 1];
  }
  for (size_t row = 0; row < count; ++row) ends[row + 1] += ends[row];
  MRL_ASSIGN_OR_RETURN(reverse.rows, Buffer::Allocate(ends[count] * sizeof(uint32_t)));
  for (uint32_t row = 0; row < count; ++row) {
    for (const uint32_t other : links.all_of(row)) {
      reverse.rows.As<uint32_t>()[ends[other]++] = row;
    }
  }
  return reverse;
}

// Links each row to the best of what it is offered; to all of it, with `all_that_fit`, where there
// is room. `offer` says what that is, of a row and its vector; itself and twice the same do not
// count.
absl::StatusOr<GraphLinks> LinkEach(
    const GraphRows& all, size_t level, uint32_t degree, bool all_that_fit,
    const BuildContext& context,
    const std::function<std::vector<uint32_t>(uint32_t row, const float* vector)>& offer) {
  const auto count = static_cast<uint32_t>(all.at.size());
  MRL_ASSIGN_OR_RETURN(GraphLinks links, GraphLinks::Make(count, degree));
  const auto link_some = [&](size_t piece) -> absl::Status {
    if (IsStopped(context.stopped)) return absl::CancelledError("graph: the build was stopped");
    Chooser chooser(all, level);
    std::vector<float> vector(chooser.dims());
    const auto begin = static_cast<uint32_t>(piece * kRowsAtOnce);
    for (uint32_t row = begin; row < std::min<uint32_t>(count, begin + kRowsAtOnce); ++row) {
      MRL_RETURN_IF_ERROR(chooser.Load(row, vector.data()));
      std::vector<uint32_t> rows = offer(row, vector.data());
      Unite(rows);
      std::erase(rows, row);
      if (rows.size() > degree || !all_that_fit) {
        MRL_RETURN_IF_ERROR(chooser.Choose(vector.data(), degree, rows));
      }
      Put(rows, row, links);
    }
    return absl::OkStatus();
  };
  const size_t pieces = (count + kRowsAtOnce - 1) / kRowsAtOnce;
  MRL_RETURN_IF_ERROR(ForEach(pieces, context.threads, link_some));
  return links;
}

}  // namespace

absl::StatusOr<GraphLinks> RefineLinks(const GraphRows& rows, const GraphCodes& codes,
                                       GraphLinks links, uint32_t degree,
                                       const BuildContext& context) {
  const auto count = static_cast<uint32_t>(rows.at.size());
  const auto level = static_cast<size_t>(rows.segment.schema().LevelOf(codes.code.dims));
  const uint32_t offered = std::max(kOfferedMin, degree + degree / 2);
  const auto near = [&](uint32_t row, const float* vector) {
    const QuantisedBits query = QuantiseBits(vector, codes.code, codes.calibration.back());
    GraphWalk walk(links, codes, query, count, offered, offered, {}, {});
    walk.RunFrom(row);
    const absl::Span<const uint32_t> linked = links.all_of(row);
    std::vector<uint32_t> offer(linked.begin(), linked.end());
    for (const Frontier::Entry& met : walk.TakeBest(offered)) offer.push_back(met.row());
    return offer;
  };
  MRL_ASSIGN_OR_RETURN(const GraphLinks chosen,
                       LinkEach(rows, level, degree, /*all_that_fit=*/false, context, near));
  links = {};  // they take a third of the memory
  MRL_ASSIGN_OR_RETURN(const Reverse reverse, Reverse::Of(chosen, count));
  const auto chosen_and_choosers = [&](uint32_t row, const float*) {
    const absl::Span<const uint32_t> linked = chosen.all_of(row);
    const absl::Span<const uint32_t> choosers = reverse.of(row);
    std::vector<uint32_t> offer(linked.begin(), linked.end());
    const size_t some = std::min(choosers.size(), kReverseMax);
    for (size_t i = 0; i < some; ++i) offer.push_back(choosers[i * choosers.size() / some]);
    return offer;
  };
  return LinkEach(rows, level, degree, /*all_that_fit=*/true, context, chosen_and_choosers);
}

}  // namespace mrl::coarse
