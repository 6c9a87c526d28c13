#include "index/cli/found_rows.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "index/cli/replace_file.h"

namespace mrl::cli {
namespace {

constexpr size_t kHeaderAlignment = 64;

// Version 1.0: magic, length of the text, text that pads the header to whole lines.
std::string NpyHeader(size_t plans, size_t queries, uint32_t k) {
  std::string text = absl::StrCat("{'descr': '<i8', 'fortran_order': False, 'shape': (", plans,
                                  ", ", queries, ", ", k, "), }");
  constexpr size_t kBefore = 10;
  while ((kBefore + text.size() + 1) % kHeaderAlignment != 0) text.push_back(' ');
  text.push_back('\n');
  std::string header("\x93NUMPY\x01\x00", 8);
  header.push_back(static_cast<char>(text.size() & 0xFF));
  header.push_back(static_cast<char>(text.size() >> 8));
  return header + text;
}

}  // namespace

void FoundRows::Add(const std::vector<uint64_t>& rows) {
  const size_t count = std::min<size_t>(rows.size(), k_);
  rows_.insert(rows_.end(), rows.begin(), rows.begin() + static_cast<ptrdiff_t>(count));
  rows_.insert(rows_.end(), k_ - count, -1);
}

absl::Status FoundRows::Write(const std::string& path) const {
  std::string bytes = NpyHeader(rows_.size() / queries_ / k_, queries_, k_);
  bytes.append(reinterpret_cast<const char*>(rows_.data()), rows_.size() * sizeof(int64_t));
  return ReplaceFile(path, bytes);
}

}  // namespace mrl::cli
