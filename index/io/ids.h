// Files of point ids, read by chunks: numbers from an .npy file, one string a line from any other.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"

namespace mrl::io {

// One of the two is filled, by the kind of file.
struct IdRows {
  std::vector<uint64_t> numbers;
  std::vector<std::string> texts;

  size_t size() const { return numbers.size() + texts.size(); }
};

// Not thread-safe.
class IdReader {
 public:
  virtual ~IdReader() = default;
  // The next `count` ids, fewer at the end of the file. INVALID_ARGUMENT names the row (from 0) of
  // a negative number, or the line (from 1) that is too long.
  virtual absl::StatusOr<IdRows> Read(size_t count) = 0;
};

// `.npy` files have one axis and dtype <u8 or <i8.
absl::StatusOr<std::unique_ptr<IdReader>> OpenIds(FileSystem& files, const std::string& path);

}  // namespace mrl::io
