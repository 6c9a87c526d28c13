// The RocksDB of one collection: the manifest and the id map. A search never comes here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "index/schema/point_id.h"
#include "index/store/id_column.h"

namespace mrl::collection {

// A point's id as an order-preserving key: a tag byte (numbers before strings), then the number in
// eight bytes, high byte first, or the string.
std::string IdKey(const PointId& id);
// DATA_LOSS for bytes that IdKey does not make.
absl::StatusOr<PointId> ParseIdKey(absl::string_view key);

// Writes ids without duplicates as one table file; row i has the sequence first_sequence + i.
absl::Status WriteIdTable(const std::string& path, store::IdColumn& ids, uint64_t first_sequence);
// Merges table files into one. ALREADY_EXISTS names an id that stands in two of them.
absl::Status MergeIdTables(const std::vector<std::string>& inputs, const std::string& output);

// Not thread-safe.
class Database {
 public:
  // A new one at `path`, which must not exist.
  static absl::StatusOr<std::unique_ptr<Database>> Create(const std::string& path);
  // Takes no lock and writes nothing: the directory may be on a read-only disk. Reads every table
  // once to check it. DATA_LOSS.
  static absl::StatusOr<std::unique_ptr<Database>> OpenReadOnly(const std::string& path);
  ~Database();

  // Takes over the table file (moved, not copied).
  absl::Status IngestIds(const std::string& table_path);
  absl::Status PutManifest(const std::string& bytes);
  absl::StatusOr<std::string> GetManifest() const;
  // In key order; stops at the first error.
  absl::Status ForEachId(const std::function<absl::Status(const PointId&, uint64_t)>& visit) const;
  // Every block's checksum. DATA_LOSS.
  absl::Status VerifyChecksums() const;
  // Moves what was put into tables.
  absl::Status Flush();
  // Flushes and closes; the destructor closes without flushing.
  absl::Status Close();

 private:
  class Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mrl::collection
