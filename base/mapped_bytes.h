// A range of a file as memory that is read when it is touched.
//
// The kernel answers a page that it cannot read (a bad disk, a file that was cut short) with
// SIGBUS. A handler, installed with the first mapping, puts zeros in the place of the mapping that
// the page belongs to and marks it: who reads from it asks intact() afterwards, and nothing else of
// the process is touched. Other SIGBUS go to the handler that was there before.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "base/buffer.h"

namespace mrl {

// Thread-safe: constant but for the mark.
class MappedBytes {
 public:
  // Bytes [offset, offset + bytes) of an open file, which stays open as long. Meant for reads of a
  // few bytes here and there: nothing is read ahead.
  static absl::StatusOr<std::unique_ptr<MappedBytes>> Map(int descriptor, uint64_t offset,
                                                          uint64_t bytes);
  // Bytes that are in memory already, for files that cannot be mapped.
  static std::unique_ptr<MappedBytes> Hold(Buffer bytes);

  MappedBytes(const MappedBytes&) = delete;
  MappedBytes& operator=(const MappedBytes&) = delete;
  ~MappedBytes();

  // Buffer::kReadSlack bytes past the end may be read.
  const std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }
  // False once a page could not be read, or while the file is shorter than it was (the last page
  // reads as zeros then, without a signal): what was read since the last look counts for nothing.
  bool intact() const;

  // What the handler looks at. Never freed: a handler may stand on it.
  struct Guard {
    std::atomic<uintptr_t> begin{0};
    std::atomic<uintptr_t> end{0};  // 0 = free
    std::atomic<bool> damaged{false};
    Guard* next = nullptr;
  };

 private:
  MappedBytes() = default;

  const std::byte* data_ = nullptr;
  uint64_t size_ = 0;
  Buffer held_;
  std::byte* mapped_ = nullptr;
  size_t mapped_bytes_ = 0;
  int descriptor_ = -1;
  int64_t file_bytes_ = 0;
  Guard* guard_ = nullptr;
};

}  // namespace mrl
