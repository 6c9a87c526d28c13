// A funnel engine whose stages see the true score through noise, and whose time is a formula: what
// the tuner finds can be held against every funnel there is.
#pragma once

#include <cstdint>
#include <vector>

#include "index/tune/subject.h"

namespace mrl::tune {

class FakeEngine {
 public:
  struct Options {
    uint64_t rows = 800;
    size_t queries = 80;
    uint32_t k = 10;
    bool duplicates = false;  // every row twice
  };
  explicit FakeEngine(const Options& options);

  // Refers to this object.
  Subject MakeSubject() const;
  // What the formula says of a plan, in milliseconds.
  double Millis(const funnel::Plan& plan) const;
  LostAtFn LostAt() const;

  static const Schema& schema();

 private:
  // Score of a row as a stage sees it.
  float ScoreAt(size_t query, uint32_t row, const funnel::Stage& stage) const;
  // The rows that each stage keeps, best first.
  std::vector<std::vector<Scored>> RunStages(const funnel::Plan& plan, size_t query) const;
  std::vector<double> StageMicros(const funnel::Plan& plan) const;

  const Options options_;
};

}  // namespace mrl::tune
