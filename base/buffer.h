// Anonymous memory for large arrays: zeroed, aligned, and on 2 MB pages where the system gives
// them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"

namespace mrl {

// Owns `size()` zeroed bytes, aligned to 64 at least (2 MB when large). Move-only.
// A few bytes past the end may be read (not written): kReadSlack.
class Buffer {
 public:
  static constexpr size_t kReadSlack = 64;

  // RESOURCE_EXHAUSTED, naming the size, when the system refuses. Zero bytes are allowed.
  static absl::StatusOr<Buffer> Allocate(size_t bytes);

  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  size_t size() const { return size_; }
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  template <typename T>
  T* As() {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  const T* As() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;  // bytes held from the system
};

}  // namespace mrl
