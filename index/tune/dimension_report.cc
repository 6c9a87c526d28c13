#include "index/tune/dimension_report.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "base/for_each.h"
#include "base/status.h"

namespace mrl::tune {
namespace {

constexpr size_t kOverlapRows = 100;
constexpr double kGainMin = 0.03;
constexpr double kGainDeviations = 3;
constexpr uint32_t kRotatedDims = 32;  // what LooksRotated looks at
constexpr double kGoodShare = 0.95;

std::vector<uint32_t> KeepsFor(uint32_t k, size_t rows) {
  std::vector<uint32_t> keeps;
  for (const uint32_t factor : {1U, 2U, 5U, 10U, 20U, 50U, 100U, 200U}) {
    const uint64_t keep = uint64_t{k} * factor;
    if (keep * 2 <= rows || keeps.empty()) keeps.push_back(static_cast<uint32_t>(keep));
  }
  return keeps;
}

// The columns of `matrix` in another order.
std::vector<float> Permuted(Matrix matrix, const std::vector<uint32_t>& order) {
  std::vector<float> out(matrix.rows * matrix.dim);
  for (size_t row = 0; row < matrix.rows; ++row) {
    for (size_t i = 0; i < order.size(); ++i) {
      out[row * matrix.dim + i] = matrix.row(row)[order[i]];
    }
  }
  return out;
}

double DeviationOf(const std::vector<double>& values) {
  const double mean = Mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return values.size() < 2 ? 0 : std::sqrt(squares / static_cast<double>(values.size() - 1));
}

class Analyser {
 public:
  Analyser(const DimensionReportInput& input, const ProgressFn& progress)
      : input_(input), progress_(progress), levels_(input.ladder.size()) {
    report_.rows = input.documents.rows;
    report_.queries = input.queries.rows;
    report_.k = input.k;
    report_.keeps = input.keeps.empty() ? KeepsFor(input.k, input.documents.rows) : input.keeps;
    report_.prefixes.resize(levels_);
    total_ = (1 + input.controls) * input.queries.rows;
  }

  absl::StatusOr<DimensionReport> Run() {
    const PrefixScorer scorer(input_.documents, input_.ladder, input_.metric);
    DescribeNorms(scorer);
    MRL_RETURN_IF_ERROR(Follow(scorer));
    std::mt19937_64 engine(input_.seed);
    std::vector<double> of_controls;
    for (size_t i = 0; i < input_.controls; ++i) {
      MRL_ASSIGN_OR_RETURN(const double shortlist, Control(engine));
      of_controls.push_back(shortlist);
    }
    TimeScan(scorer);
    Judge(of_controls);
    return std::move(report_);
  }

 private:
  using PerKeep = std::vector<std::vector<double>>;  // by level and keep: sums over queries

  size_t OwnRow(size_t query) const {
    return input_.own_rows.empty() ? kNoRow : input_.own_rows[query];
  }
  absl::Span<const float> AtLevel(const std::vector<float>& keys, size_t level) const {
    return absl::MakeConstSpan(keys).subspan(level * report_.rows, report_.rows);
  }
  double Queries() const { return static_cast<double>(report_.queries); }

  void DescribeNorms(const PrefixScorer& scorer) {
    for (size_t level = 0; level < levels_; ++level) {
      PrefixQuality& prefix = report_.prefixes[level];
      prefix.dims = input_.ladder[level];
      std::vector<double> norms;
      for (size_t row = 0; row < report_.rows; ++row) {
        norms.push_back(scorer.Norm(row, level));
        const double full = scorer.Norm(row, levels_ - 1);
        prefix.energy += full == 0 ? 0 : norms.back() * norms.back() / (full * full);
      }
      prefix.energy /= static_cast<double>(report_.rows);
      prefix.norm_mean = Mean(norms);
      prefix.norm_deviation = DeviationOf(norms);
    }
  }

  // Adds the share of `ranks` below each keep.
  void AddShares(absl::Span<const uint32_t> ranks, std::vector<double>& sums) const {
    for (size_t i = 0; i < report_.keeps.size(); ++i) {
      sums[i] += static_cast<double>(std::count_if(
                     ranks.begin(), ranks.end(),
                     [keep = report_.keeps[i]](uint32_t rank) { return rank < keep; })) /
                 static_cast<double>(ranks.size());
    }
  }

  // One query at every level: the truth is found and followed.
  absl::Status FollowOne(const PrefixScorer& scorer, size_t query) {
    const std::vector<float> keys = scorer.Keys(input_.queries.row(query));
    const size_t wanted = std::max<size_t>(input_.k, kOverlapRows);
    const size_t own = OwnRow(query);
    const std::vector<uint32_t> top = TopRows(AtLevel(keys, levels_ - 1), wanted, own);
    const size_t k = std::min<size_t>(input_.k, top.size());
    const size_t listed = std::min(kOverlapRows, top.size());
    truth_[query].assign(top.begin(), top.begin() + static_cast<std::ptrdiff_t>(k));
    for (size_t level = 0; level < levels_; ++level) {
      const auto at_level = AtLevel(keys, level);
      const std::vector<uint32_t> ranks = RanksOf(at_level, top, own);
      const auto below = [&](size_t count) {
        return static_cast<double>(std::count_if(ranks.begin(),
                                                 ranks.begin() + static_cast<std::ptrdiff_t>(count),
                                                 [count](uint32_t rank) { return rank < count; })) /
               static_cast<double>(count);
      };
      const double tau = KendallTau(absl::MakeConstSpan(top).first(listed), at_level);
      absl::MutexLock lock(&mutex_);
      recalls_[level][query] = below(k);
      report_.prefixes[level].overlap += below(listed) / Queries();
      report_.prefixes[level].kendall += tau / Queries();
      AddShares(absl::MakeConstSpan(ranks).first(k), report_.prefixes[level].shortlist);
    }
    return Advance();
  }

  absl::Status Follow(const PrefixScorer& scorer) {
    truth_.resize(report_.queries);
    recalls_.assign(levels_, std::vector<double>(report_.queries));
    for (PrefixQuality& prefix : report_.prefixes) {
      prefix.shortlist.resize(report_.keeps.size());
      prefix.control.resize(report_.keeps.size());
    }
    MRL_RETURN_IF_ERROR(ForEach(report_.queries, input_.threads,
                                [&](size_t query) { return FollowOne(scorer, query); }));
    for (size_t level = 0; level < levels_; ++level) {
      PrefixQuality& prefix = report_.prefixes[level];
      prefix.recall = Mean(recalls_[level]);
      prefix.interval = MeanInterval(recalls_[level],
                                     {.seed = input_.seed, .unit = 1.0 / std::max(1U, input_.k)});
      for (double& share : prefix.shortlist) share /= Queries();
    }
    return absl::OkStatus();
  }

  // The mean shortlist recall below the full dimension of vectors in another order of dimensions.
  absl::StatusOr<double> Control(std::mt19937_64& engine) {
    std::vector<uint32_t> order(input_.documents.dim);
    std::iota(order.begin(), order.end(), 0U);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[engine() % i]);
    const std::vector<float> documents = Permuted(input_.documents, order);
    const std::vector<float> queries = Permuted(input_.queries, order);
    const PrefixScorer scorer({documents.data(), report_.rows, input_.documents.dim}, input_.ladder,
                              input_.metric);
    PerKeep sums(levels_, std::vector<double>(report_.keeps.size()));
    MRL_RETURN_IF_ERROR(ForEach(report_.queries, input_.threads, [&](size_t query) -> absl::Status {
      const std::vector<float> keys = scorer.Keys(queries.data() + query * input_.documents.dim);
      for (size_t level = 0; level < levels_; ++level) {
        const auto ranks = RanksOf(AtLevel(keys, level), truth_[query], OwnRow(query));
        absl::MutexLock lock(&mutex_);
        AddShares(ranks, sums[level]);
      }
      return Advance();
    }));
    double total = 0;
    for (size_t level = 0; level < levels_; ++level) {
      for (size_t i = 0; i < report_.keeps.size(); ++i) {
        const double share = sums[level][i] / Queries();
        report_.prefixes[level].control[i] += share / static_cast<double>(input_.controls);
        if (level + 1 < levels_) total += share;
      }
    }
    return total / Cells();
  }

  // Prefixes below the full dimension times keeps.
  double Cells() const {
    return std::max(1.0, static_cast<double>((levels_ - 1) * report_.keeps.size()));
  }

  // Time of the dots alone, growing with the prefix; the best of three turns counts.
  void TimeScan(const PrefixScorer& scorer) {
    using Clock = std::chrono::steady_clock;
    for (size_t level = 0; level < levels_; ++level) {
      double best_ns = 0;
      for (int turn = 0; turn < 3; ++turn) {
        const auto start = Clock::now();
        const float sum = scorer.ScanSum(input_.queries.row(0), level);
        const double ns = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
        if (std::isfinite(sum) && (turn == 0 || ns < best_ns)) best_ns = ns;
      }
      report_.prefixes[level].scan_ns_per_row = best_ns / static_cast<double>(report_.rows);
    }
  }

  void Judge(const std::vector<double>& of_controls) {
    double total = 0;
    for (size_t level = 0; level + 1 < levels_; ++level) {
      const std::vector<double>& shortlist = report_.prefixes[level].shortlist;
      total += std::accumulate(shortlist.begin(), shortlist.end(), 0.0);
    }
    report_.gain = levels_ < 2 ? 0 : total / Cells() - Mean(of_controls);
    report_.gain_limit = std::max(kGainMin, kGainDeviations * DeviationOf(of_controls));
    if (report_.gain > report_.gain_limit) {
      report_.verdict = LooksRotated(input_.documents) ? Verdict::kRotated : Verdict::kUseful;
    }
    for (const PrefixQuality& prefix : report_.prefixes) {
      uint32_t needed = 0;
      for (size_t i = report_.keeps.size(); i-- > 0;) {
        if (prefix.shortlist[i] >= kGoodShare) needed = report_.keeps[i];
      }
      report_.keep_for_95.push_back(needed);
    }
  }

  absl::Status Advance() {
    if (input_.stopped && input_.stopped()) {
      return absl::CancelledError("the comparison was stopped");
    }
    absl::MutexLock lock(&mutex_);
    ++done_;
    if (progress_) progress_("comparing prefixes", done_, total_);
    return absl::OkStatus();
  }

  const DimensionReportInput& input_;
  const ProgressFn& progress_;
  const size_t levels_;
  absl::Mutex mutex_;
  uint64_t done_ = 0, total_ = 0;
  std::vector<std::vector<uint32_t>> truth_;  // per query
  std::vector<std::vector<double>> recalls_;  // per level and query
  DimensionReport report_;
};

absl::Status Check(const DimensionReportInput& input) {
  if (input.queries.rows == 0) return absl::InvalidArgumentError("there are no queries");
  if (input.queries.dim != input.documents.dim) {
    return absl::InvalidArgumentError(absl::StrCat("the queries have ", input.queries.dim,
                                                   " dimensions, the vectors have ",
                                                   input.documents.dim));
  }
  if (input.documents.rows < 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are ", input.documents.rows, " vectors; 3 at least are needed"));
  }
  if (input.k == 0 || input.k >= input.documents.rows) {
    return absl::InvalidArgumentError(absl::StrCat("k is ", input.k, "; it goes from 1 to ",
                                                   input.documents.rows - 1,
                                                   ", one less than there are vectors"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DimensionReport> AnalyseDimensions(const DimensionReportInput& input,
                                                  const ProgressFn& progress) {
  MRL_RETURN_IF_ERROR(Check(input));
  return Analyser(input, progress).Run();
}

const char* ToString(Verdict verdict) {
  switch (verdict) {
    case Verdict::kUseful:
      return "useful";
    case Verdict::kRotated:
      return "useful_by_rotation";
    case Verdict::kNotUseful:
      return "not_useful";
  }
  return "";
}

bool LooksRotated(Matrix documents) {
  const size_t dims = std::min(documents.dim, kRotatedDims);
  const double rows = static_cast<double>(documents.rows);
  if (dims < 3 || documents.rows < 50) return false;
  std::vector<double> means(dims);
  for (size_t row = 0; row < documents.rows; ++row) {
    for (size_t i = 0; i < dims; ++i) means[i] += documents.row(row)[i] / rows;
  }
  std::vector<double> products(dims * dims);
  for (size_t row = 0; row < documents.rows; ++row) {
    const float* values = documents.row(row);
    for (size_t i = 0; i < dims; ++i) {
      for (size_t j = i; j < dims; ++j) {
        products[i * dims + j] += (values[i] - means[i]) * (values[j] - means[j]);
      }
    }
  }
  double correlation = 0;
  size_t falling = 0;
  for (size_t i = 0; i < dims; ++i) {
    const double mine = products[i * dims + i];
    if (mine <= 0) return false;
    if (i + 1 < dims && products[(i + 1) * dims + i + 1] <= mine * 1.1) ++falling;
    for (size_t j = i + 1; j < dims; ++j) {
      correlation += std::abs(products[i * dims + j]) / std::sqrt(mine * products[j * dims + j]);
    }
  }
  // Independent dimensions correlate by 0.8 / sqrt(rows) in a sample; those of a rotation that was
  // learned from other rows by a little more.
  const double pairs = static_cast<double>(dims * (dims - 1)) / 2;
  const double spread = products[0] / products[dims * dims - 1];
  return correlation / pairs < 2 / std::sqrt(rows) && falling * 10 >= (dims - 1) * 9 &&
         spread > 1.5;
}

std::vector<std::string> Advice(const DimensionReport& report) {
  std::vector<std::string> advice;
  const std::string measured = absl::StrFormat(
      "shortlists of prefixes hold %.1f percentage points %s of the true %d than those of "
      "randomly chosen dimensions (above %.1f counts)",
      std::abs(report.gain) * 100, report.gain >= 0 ? "more" : "fewer", report.k,
      report.gain_limit * 100);
  switch (report.verdict) {
    case Verdict::kUseful:
      advice.push_back(absl::StrCat("Prefixes are useful: ", measured, "."));
      break;
    case Verdict::kRotated:
      advice.push_back(absl::StrCat(
          "Prefixes are useful, by a rotation: ", measured,
          ". The dimensions are uncorrelated and of falling variance, as after a principal "
          "component analysis; queries need the same rotation."));
      break;
    case Verdict::kNotUseful:
      advice.push_back(absl::StrCat(
          "Prefixes are not useful: ", measured,
          ". A funnel over them costs as many candidates as one over any dimensions. Use a model "
          "trained for prefixes, or rotate the vectors when they are built (mrl-index build "
          "--rotate pca); else search few bits of many dimensions."));
      return advice;
  }
  for (size_t level = 0; level + 1 < report.prefixes.size(); ++level) {
    const uint32_t keep = report.keep_for_95[level];
    if (keep == 0) continue;
    advice.push_back(absl::StrFormat(
        "The shortest prefix whose shortlist holds 95 %% of the true %d is %d dimensions: %d "
        "candidates of these %d rows, and in proportion of more. Start there and let `mrl-index "
        "tune` choose.",
        report.k, report.prefixes[level].dims, keep, report.rows));
    break;
  }
  for (size_t level = 0; level + 1 < report.prefixes.size(); ++level) {
    if (report.prefixes[level].interval.low < 0.99) continue;
    advice.push_back(absl::StrFormat(
        "%d dimensions alone already find 99 %% of what all %d find: storing no more would save "
        "%.0f %% of the space.",
        report.prefixes[level].dims, report.prefixes.back().dims,
        100 - 100.0 * report.prefixes[level].dims / report.prefixes.back().dims));
    break;
  }
  return advice;
}

}  // namespace mrl::tune
