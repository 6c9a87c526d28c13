#include "tests/unit/tune/fake_engine.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace mrl::tune {
namespace {

// splitmix64: a hash of the arguments, uniform on [0, 1).
double Uniform(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t x = a * 0x9E3779B97F4A7C15U + b * 0xBF58476D1CE4E5B9U + c * 0x94D049BB133111EBU + 1;
  for (int i = 0; i < 2; ++i) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    x ^= x >> 31;
  }
  return static_cast<double>(x >> 11) * 0x1p-53;
}

bool Better(const Scored& a, const Scored& b) {
  return a.score != b.score ? a.score > b.score : a.row < b.row;
}

}  // namespace

FakeEngine::FakeEngine(const Options& options) : options_(options) {}

const Schema& FakeEngine::schema() {
  static const Schema schema = [] {
    Schema made;
    made.dim = 64;
    made.ladder = {8, 16, 32, 64};
    made.codes = {{8, 8}, {16, 8}, {32, 8}};
    return made;
  }();
  return schema;
}

float FakeEngine::ScoreAt(size_t query, uint32_t row, const funnel::Stage& stage) const {
  const uint64_t seen = options_.duplicates ? row / 2 : row;
  const auto score = static_cast<float>(Uniform(query, seen, 0));
  if (stage.dims == schema().dim && stage.bits == 0) return score;
  // A longer prefix sees through less noise, and mostly through the same.
  const double width = 0.25 / stage.dims + (stage.bits == 0 ? 0 : 0.0004);
  const double noise = 0.8 * Uniform(query, seen, 1) + 0.2 * Uniform(query, seen, stage.dims);
  return score + static_cast<float>(width * (noise - 0.5));
}

std::vector<std::vector<Scored>> FakeEngine::RunStages(const funnel::Plan& plan,
                                                       size_t query) const {
  std::vector<std::vector<Scored>> kept;
  std::vector<Scored> rows(options_.rows);
  for (uint32_t row = 0; row < rows.size(); ++row) rows[row].row = row;
  for (const funnel::Stage& stage : plan.stages) {
    for (Scored& row : rows) row.score = ScoreAt(query, static_cast<uint32_t>(row.row), stage);
    const size_t keep = std::min<size_t>(rows.size(), stage.keep);
    std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(keep), rows.end(),
                      Better);
    rows.resize(keep);
    kept.push_back(rows);
  }
  return kept;
}

std::vector<double> FakeEngine::StageMicros(const funnel::Plan& plan) const {
  std::vector<double> micros;
  double in = static_cast<double>(options_.rows);
  uint32_t done = 0;  // dimensions that are summed up
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    const funnel::Stage& stage = plan.stages[i];
    if (i == 0) {
      const double bits = stage.bits != 0 ? stage.bits : stage.dims == schema().dim ? 32 : 9;
      micros.push_back(in * stage.dims * bits / 1e4 + 0.02 * stage.keep);
    } else if (stage.bits != 0) {
      micros.push_back(1 + in * stage.dims * 0.001);
    } else {
      micros.push_back(1 + in * (stage.dims - done) * 0.01);
      done = stage.dims;
    }
    in = std::min<double>(in, stage.keep);
  }
  return micros;
}

double FakeEngine::Millis(const funnel::Plan& plan) const {
  const std::vector<double> micros = StageMicros(plan);
  return std::accumulate(micros.begin(), micros.end(), 0.0) / 1000;
}

Subject FakeEngine::MakeSubject() const {
  Subject subject;
  subject.plan.schema = &schema();
  subject.plan.kinds = {"scan"};
  subject.plan.query_dims = schema().dim;
  subject.rows = options_.rows;
  subject.search = [this](const funnel::Plan& plan, size_t query) -> absl::StatusOr<Answer> {
    Answer answer;
    answer.rows = RunStages(plan, query).back();
    const std::vector<double> micros = StageMicros(plan);
    for (const double time : micros) {
      answer.stages.emplace_back();
      answer.stages.back().micros = time;
    }
    answer.millis = Millis(plan);
    return answer;
  };
  funnel::Plan exact;
  exact.stages = {{.dims = schema().dim, .bits = 0, .keep = options_.k}};
  for (size_t query = 0; query < options_.queries; ++query) {
    subject.truth.push_back(RunStages(exact, query).back());
  }
  return subject;
}

LostAtFn FakeEngine::LostAt() const {
  return [this](const funnel::Plan& plan, size_t query,
                absl::Span<const uint64_t> rows) -> absl::StatusOr<std::vector<int>> {
    const auto kept = RunStages(plan, query);
    std::vector<int> lost;
    for (const uint64_t row : rows) {
      lost.push_back(-1);
      for (size_t stage = 0; stage < kept.size() && lost.back() < 0; ++stage) {
        const bool has = std::any_of(kept[stage].begin(), kept[stage].end(),
                                     [row](const Scored& one) { return one.row == row; });
        if (!has) lost.back() = static_cast<int>(stage);
      }
    }
    return lost;
  };
}

}  // namespace mrl::tune
