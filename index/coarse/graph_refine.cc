#include "index/coarse/graph_refine.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "base/for_each.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/graph_walk.h"
#include "index/kernels/kernels.h"
#include "index/kernels/squares.h"

namespace mrl::coarse {
namespace {

constexpr size_t kOffered = 100;  // rows that a walk finds for one; twice as many gain nothing
// How much nearer a linked row must be. 1.1 and 1.35 find less at the same cost.
constexpr float kAlpha = 1.2F;
constexpr size_t kReverseMax = 512;  // of the rows that chose one, so many are offered to it
constexpr size_t kRowsAtOnce = 256;

// Rows that one may be linked to, and the best of them. Keeps its memory from row to row.
class Chooser {
 public:
  Chooser(const store::Segment& segment, size_t level)
      : segment_(segment), level_(level), dims_(segment.schema().ladder[level]) {}

  // The prefix of `row` with a norm of 1; zeros where it has none.
  absl::Status Load(uint32_t row, float* out) const {
    MRL_RETURN_IF_ERROR(segment_.Prefix(row, level_, out));
    const double squares = kernels::SumOfSquares(out, dims_);
    const double factor = squares > 0 ? 1 / std::sqrt(squares) : 0;
    for (size_t i = 0; i < dims_; ++i) out[i] = static_cast<float>(out[i] * factor);
    return absl::OkStatus();
  }

  // Cuts `rows` to `most` that `from` is to be linked to: a row goes where one that is linked
  // already lies so much nearer to it that it leads there.
  absl::Status Choose(const float* from, size_t most, std::vector<uint32_t>& rows) {
    if (vectors_.size() < rows.size() * dims_) vectors_.resize(rows.size() * dims_);
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
        return kAlpha * Distance(other, row.vector) < row.distance;
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

  // Half the squared distance of vectors of norm 1.
  float Distance(const float* a, const float* b) const { return 1 - table_.dot_f32(a, b, dims_); }

  const store::Segment& segment_;
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

size_t CountOf(const GraphLinks& links, uint32_t row) {
  const uint32_t* of = links.of(row);
  return static_cast<size_t>(std::find(of, of + links.degree, GraphLinks::kNoRow) - of);
}

void Put(const std::vector<uint32_t>& rows, uint32_t row, GraphLinks& links) {
  std::copy(rows.begin(), rows.end(), links.rows.As<uint32_t>() + size_t{row} * links.degree);
}

// For each row those that are linked to it, in order.
struct Reverse {
  std::vector<uint64_t> begins;  // one more than rows
  std::vector<uint32_t> rows;

  Reverse(const GraphLinks& links, uint32_t count) : begins(size_t{count} + 1) {
    for (uint32_t row = 0; row < count; ++row) {
      for (size_t i = 0; i < CountOf(links, row); ++i) ++begins[links.of(row)[i] + 1];
    }
    for (size_t row = 0; row < count; ++row) begins[row + 1] += begins[row];
    rows.resize(begins.back());
    std::vector<uint64_t> next(begins.begin(), begins.end() - 1);
    for (uint32_t row = 0; row < count; ++row) {
      for (size_t i = 0; i < CountOf(links, row); ++i) rows[next[links.of(row)[i]]++] = row;
    }
  }
};

// Links each row to the best of what it is offered; to all of it, with `all_that_fit`, where there
// is room. `offer` says what that is, of a row and its vector; itself and twice the same do not
// count.
absl::StatusOr<GraphLinks> LinkEach(
    const store::Segment& segment, size_t level, uint32_t degree, bool all_that_fit,
    const BuildContext& context,
    const std::function<std::vector<uint32_t>(uint32_t row, const float* vector)>& offer) {
  const uint32_t count = segment.rows();
  MRL_ASSIGN_OR_RETURN(GraphLinks links, GraphLinks::Make(count, degree));
  const auto link_some = [&](size_t piece) -> absl::Status {
    if (IsStopped(context.stopped)) return absl::CancelledError("graph: the build was stopped");
    Chooser chooser(segment, level);
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

absl::StatusOr<GraphLinks> RefineLinks(const store::Segment& segment, const GraphCodes& codes,
                                       const GraphLinks& links, uint32_t degree,
                                       const BuildContext& context) {
  const uint32_t count = segment.rows();
  const auto level = static_cast<size_t>(segment.schema().LevelOf(codes.code.dims));
  const auto near = [&](uint32_t row, const float* vector) {
    const QuantisedBits query = QuantiseBits(vector, codes.code, codes.calibration.back());
    GraphWalk walk(links, codes, query, count, kOffered, kOffered, {});
    walk.RunFrom(row);
    std::vector<uint32_t> rows(links.of(row), links.of(row) + CountOf(links, row));
    for (size_t i = 0; i < walk.frontier().size(); ++i) rows.push_back(walk.frontier().row(i));
    return rows;
  };
  MRL_ASSIGN_OR_RETURN(const GraphLinks chosen,
                       LinkEach(segment, level, degree, /*all_that_fit=*/false, context, near));
  const Reverse reverse(chosen, count);
  const auto chosen_and_choosers = [&](uint32_t row, const float*) {
    std::vector<uint32_t> rows(chosen.of(row), chosen.of(row) + CountOf(chosen, row));
    const uint64_t first = reverse.begins[row];
    const uint64_t last = std::min(reverse.begins[row + 1], first + kReverseMax);
    rows.insert(rows.end(), reverse.rows.begin() + static_cast<ptrdiff_t>(first),
                reverse.rows.begin() + static_cast<ptrdiff_t>(last));
    return rows;
  };
  return LinkEach(segment, level, degree, /*all_that_fit=*/true, context, chosen_and_choosers);
}

}  // namespace mrl::coarse
