#include "index/coarse/graph_equal.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checksum.h"
#include "base/status.h"

namespace mrl::coarse {
namespace {

constexpr uint32_t kEqualPart = 4;  // of a first row's links, its group takes one in so many

}  // namespace

EqualRows::EqualRows(const GraphCodes& codes, uint32_t rows) : first_of_(rows), next_(rows) {
  const size_t row_words = BitWords(codes.code);
  const size_t row_bytes = row_words * sizeof(uint64_t);
  const auto code = [&](uint32_t row) { return codes.words.As<uint64_t>() + row * row_words; };
  std::vector<std::pair<uint64_t, uint32_t>> by_code(rows);
  for (uint32_t row = 0; row < rows; ++row) by_code[row] = {Checksum(code(row), row_bytes), row};
  std::sort(by_code.begin(), by_code.end());
  for (size_t i = 0; i < by_code.size(); ++i) {
    const uint32_t row = by_code[i].second;
    // Where two codes have one checksum, a group may be cut in two.
    const bool is_first =
        i == 0 || std::memcmp(code(row), code(by_code[i - 1].second), row_bytes) != 0;
    const uint32_t first = is_first ? row : first_of_[by_code[i - 1].second];
    first_of_[row] = first;
    next_[row] = first;
    if (!is_first) next_[by_code[i - 1].second] = row;
  }
  for (uint32_t row = 0; row < rows; ++row) {
    if (first_of_[row] == row) firsts_.push_back(row);
  }
}

absl::StatusOr<GraphCodes> EqualRows::CodesOfFirsts(const GraphCodes& codes) const {
  const size_t row_words = BitWords(codes.code);
  GraphCodes firsts = {.code = codes.code, .words = {}, .calibration = codes.calibration};
  MRL_ASSIGN_OR_RETURN(firsts.words,
                       Buffer::Allocate(firsts_.size() * row_words * sizeof(uint64_t)));
  auto* out = firsts.words.As<uint64_t>();
  for (const uint32_t row : firsts_) {
    out = std::copy_n(codes.words.As<uint64_t>() + row * row_words, row_words, out);
  }
  return firsts;
}

absl::StatusOr<GraphLinks> EqualRows::Expand(const GraphLinks& links) const {
  const uint32_t degree = links.degree;
  MRL_ASSIGN_OR_RETURN(GraphLinks all,
                       GraphLinks::Make(static_cast<uint32_t>(first_of_.size()), degree));
  // Puts those that follow `row` in its group, up to `most`; the end of what it put.
  const auto put_group = [this](uint32_t row, uint32_t most, uint32_t* out) {
    for (uint32_t other = next_[row]; other != row && most > 0; other = next_[other], --most) {
      if (other != first_of_[row]) *out++ = other;
    }
    return out;
  };
  uint32_t place = 0;
  for (uint32_t row = 0; row < first_of_.size(); ++row) {
    uint32_t* out = all.rows.As<uint32_t>() + size_t{row} * degree;
    uint32_t* const end = out + degree;
    if (first_of_[row] != row) {
      *out++ = first_of_[row];
      put_group(row, degree - 1, out);
      continue;
    }
    out = put_group(row, degree / kEqualPart, out);
    for (const uint32_t other : links.all_of(place++)) {
      if (out == end) break;
      *out++ = firsts_[other];
    }
  }
  return all;
}

}  // namespace mrl::coarse
