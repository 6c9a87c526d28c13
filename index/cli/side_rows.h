// Ids and payloads of a build, row by row beside the vectors.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "index/collection/collection.h"
#include "index/io/ids.h"
#include "index/io/lines.h"

namespace mrl::cli {

// Not thread-safe. Without a source of ids, the id of a row is its number.
class SideRows {
 public:
  struct Sources {
    std::string ids;       // path; "" = none
    std::string payloads;  // path; "" = none
    std::string id_field;  // of the payloads; "" = none
  };
  static absl::StatusOr<SideRows> Open(const Sources& sources);

  // Fills ids and payloads of `count` rows, the first of which is row `begin` of the input.
  // INVALID_ARGUMENT when a file has fewer.
  absl::Status Read(uint64_t begin, size_t count, collection::Chunk* chunk);
  // INVALID_ARGUMENT when a file goes on after `rows` rows: then ids and rows do not belong
  // together.
  absl::Status CheckEnd(uint64_t rows);

 private:
  absl::Status ReadPayloads(uint64_t begin, size_t count, collection::Chunk* chunk);
  absl::Status ReadIds(uint64_t begin, size_t count, collection::Chunk* chunk);

  Sources sources_;
  std::unique_ptr<io::IdReader> ids_;
  std::unique_ptr<io::LineReader> payloads_;
};

}  // namespace mrl::cli
