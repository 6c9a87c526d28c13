// The input of a build, chunk by chunk.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/background.h"
#include "index/cli/side_rows.h"
#include "index/collection/collection.h"
#include "index/io/embeddings.h"

namespace mrl::cli {

// Reads files one after the other. Not thread-safe.
class ChunkReader {
 public:
  using Readers = std::vector<std::unique_ptr<io::EmbeddingReader>>;
  struct Options {
    uint64_t rows = 0;      // in all, at most
    size_t chunk_rows = 1;  // at a time
    bool ahead = false;  // a chunk is read, by a thread of its own, while the caller has the last
  };
  // Outlived by `readers`, all of the same dimensions, and by `side`, which the caller leaves alone
  // until Next has come to the end.
  ChunkReader(const Readers& readers, SideRows& side, const Options& options);

  // A chunk without rows is the end.
  absl::StatusOr<collection::Chunk> Next();
  // That reading took, when Next has come to the end.
  double seconds() const { return seconds_; }

 private:
  absl::Status Read();

  const Readers& readers_;
  SideRows& side_;
  const Options options_;
  size_t reader_ = 0;   // that is read
  uint64_t begin_ = 0;  // its row that comes next
  uint64_t done_ = 0;   // rows of all readers
  double seconds_ = 0;
  collection::Chunk next_;
  Background reading_;  // next_ and all before it
};

}  // namespace mrl::cli
