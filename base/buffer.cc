#include "base/buffer.h"

#include <sys/mman.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace mrl {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kHugePageBytes = size_t{2} << 20;

size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

absl::StatusOr<Buffer> Buffer::Allocate(size_t bytes) {
  Buffer buffer;
  if (bytes == 0) return buffer;
  const bool huge = bytes >= kHugePageBytes;
  const size_t wanted = RoundUp(bytes + kReadSlack, kPageBytes);
  // Map one huge page more than wanted, then give back what lies outside the aligned part.
  const size_t total = huge ? wanted + kHugePageBytes : wanted;
  void* raw = bytes > SIZE_MAX / 2 ? MAP_FAILED
                                   : mmap(nullptr, total, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot allocate ", bytes, " bytes of memory"));
  }
  auto* start = static_cast<std::byte*>(raw);
  if (huge) {
    const auto address = reinterpret_cast<uintptr_t>(start);
    const size_t head = RoundUp(address, kHugePageBytes) - address;
    if (head > 0) munmap(start, head);
    if (kHugePageBytes > head) munmap(start + head + wanted, kHugePageBytes - head);
    start += head;
    // A wish: refused without harm. Not for the last part of a page, which would be taken whole.
    madvise(start, wanted / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
  }
  buffer.data_ = start;
  buffer.size_ = bytes;
  buffer.mapped_ = wanted;
  return buffer;
}

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, mapped_);
}

}  // namespace mrl
