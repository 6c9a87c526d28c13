#include "index/coarse/graph_walk.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "index/coarse/exact_scan.h"
#include "index/kernels/kernels.h"

namespace mrl::coarse {
namespace {

constexpr size_t kRowsBetweenPolls = 64;  // rows whose links are followed
constexpr size_t kLineWords = 8;
constexpr size_t kLineLinks = 16;

// Evenly spaced rows that a walk begins with.
uint32_t BeginningsOf(uint32_t rows) {
  return static_cast<uint32_t>(std::ceil(std::sqrt(static_cast<double>(rows))));
}

}  // namespace

GraphWalk::GraphWalk(const GraphLinks& links, const GraphCodes& codes, const QuantisedBits& query,
                     uint32_t rows, size_t ef_search, size_t keep, const Reach& reach, Met met)
    : links_(links),
      codes_(codes),
      query_(query),
      row_words_(BitWords(codes.code)),
      rows_(rows),
      met_(std::move(met)),
      met_set_(rows),
      frontier_(query.weight_sum, std::min<size_t>(std::max(ef_search, keep), rows), ef_search,
                reach),
      batch_(std::max(links.degree, BeginningsOf(rows)) + 1),
      scores_(batch_.size()) {}

bool GraphWalk::Run(const std::function<bool()>& stopped) {
  Begin();
  return Walk(stopped);
}

void GraphWalk::RunFrom(uint32_t row) {
  batch_[0] = row;
  met_set_.Insert(row);
  Meet(1);
  Walk({});
}

bool GraphWalk::Walk(const std::function<bool()>& stopped) {
  for (uint32_t row = frontier_.TakeNext(); row != GraphLinks::kNoRow; row = frontier_.TakeNext()) {
    if (followed_++ % kRowsBetweenPolls == 0 && IsStopped(stopped)) return false;
    Follow(row);
  }
  return true;
}

void GraphWalk::Begin() {
  const uint32_t count = BeginningsOf(rows_);
  for (uint32_t i = 0; i < count; ++i) {
    batch_[i] = static_cast<uint32_t>(uint64_t{i} * rows_ / count);
    met_set_.Insert(batch_[i]);
  }
  Meet(count);
}

void GraphWalk::Follow(uint32_t row) {
  const uint32_t* links = links_.of(row);
  const uint64_t* words = codes_.words.As<uint64_t>();
  size_t count = 0;
  for (uint32_t i = 0; i < links_.degree && links[i] != GraphLinks::kNoRow; ++i) {
    // Whether a row is new cannot be foretold: it is noted without a branch.
    batch_[count] = links[i];
    count += met_set_.Insert(links[i]) ? 1 : 0;
  }
  for (size_t i = 0; i < count; ++i) {
    const uint64_t* code = words + batch_[i] * row_words_;
    for (size_t s = 0; s < query_.strips(); s += kLineWords) __builtin_prefetch(code + s);
  }
  // What is likely to be followed next comes while these are scored.
  const uint32_t next = frontier_.PeekNext();
  if (next != GraphLinks::kNoRow) {
    for (uint32_t i = 0; i < links_.degree; i += kLineLinks) {
      __builtin_prefetch(links_.of(next) + i);
    }
  }
  Meet(count);
}

void GraphWalk::Meet(size_t count) {
  const kernels::BitRows bits = {.words = codes_.words.As<uint64_t>(),
                                 .row_words = row_words_,
                                 .planes = query_.planes.data(),
                                 .strip_count = query_.strips()};
  kernels::Active().score_bit_rows(bits, batch_.data(), count, scores_.data());
  frontier_.Offer({batch_.data(), count}, scores_.data());
  rows_met_ += count;
  if (met_) met_({batch_.data(), count}, scores_.data());
}

uint64_t GraphWalk::bytes_touched() const {
  return rows_met_ * query_.strips() * sizeof(uint64_t) +
         followed_ * links_.degree * sizeof(uint32_t);
}

}  // namespace mrl::coarse
