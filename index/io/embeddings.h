// Embedding files: npy (f32, f16, 2-D), fvecs, fbin. Read by chunks; no size is believed before it
// is cross-checked with the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/file.h"

namespace mrl::io {

class EmbeddingReader {
 public:
  virtual ~EmbeddingReader() = default;
  virtual uint64_t rows() const = 0;
  virtual uint32_t dims() const = 0;
  virtual std::string format() const = 0;  // "npy f16"
  // Fills rows [begin, begin + out.size() / dims()) as floats.
  virtual absl::Status Read(uint64_t begin, absl::Span<float> out) const = 0;
};

// By suffix: .npy, .fvecs, .fbin. INVALID_ARGUMENT says what the file is and what is accepted.
absl::StatusOr<std::unique_ptr<EmbeddingReader>> OpenEmbeddings(FileSystem& files,
                                                                const std::string& path);

// The same over a file that is already open; `name` gives the suffix and stands in messages.
absl::StatusOr<std::unique_ptr<EmbeddingReader>> OpenEmbeddings(std::unique_ptr<ReadableFile> file,
                                                                const std::string& name);

}  // namespace mrl::io
