// The RocksDB of one collection: the manifest, the id map, deletions and the rows of the tail. A
// search never comes here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "index/collection/batch.h"
#include "index/schema/point_id.h"
#include "index/store/id_column.h"

namespace rocksdb {
class Env;
}

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

// Thread-safe but for Close. Every function that takes `env` passes its files through it; null =
// the system's; it outlives the database.
class Database {
 public:
  // A new one at `path`, which must not exist.
  static absl::StatusOr<std::unique_ptr<Database>> Create(const std::string& path,
                                                          rocksdb::Env* env = nullptr);
  // Takes no lock and writes nothing: the directory may be on a read-only disk. Reads every table
  // once to check it. DATA_LOSS.
  static absl::StatusOr<std::unique_ptr<Database>> OpenReadOnly(const std::string& path,
                                                                rocksdb::Env* env = nullptr);
  // Recovers what the log holds. Reads every table once to check it; DATA_LOSS. FAILED_PRECONDITION
  // while another process, or another object of this one, has it open for writing.
  static absl::StatusOr<std::unique_ptr<Database>> OpenForWriting(const std::string& path,
                                                                  rocksdb::Env* env = nullptr);
  ~Database();

  // Takes over the table file (moved, not copied).
  absl::Status IngestIds(const std::string& table_path);
  absl::Status PutManifest(const std::string& bytes);
  absl::StatusOr<std::string> GetManifest() const;
  // The bytes of the rotation that the manifest's schema names: transform::Serialize's. Written
  // once, when the collection is built. DATA_LOSS when there is none.
  absl::Status PutRotation(const std::string& bytes);
  absl::StatusOr<std::string> GetRotation() const;
  // The highest sequence that was given out by writes; 0 when there were none.
  absl::StatusOr<uint64_t> GetSequence() const;
  // The sequence of an id's row; nothing when it has none.
  absl::StatusOr<std::optional<uint64_t>> GetId(const PointId& id) const;
  // In key order; stops at the first error.
  absl::Status ForEachId(const std::function<absl::Status(const PointId&, uint64_t)>& visit) const;
  // Rows of the tail in order of epochs, then sequences; `bytes` are store::EncodeRow's.
  absl::Status ForEachRow(const std::function<absl::Status(uint32_t epoch, uint64_t sequence,
                                                           absl::string_view bytes)>& visit) const;
  absl::Status ForEachDeletion(
      const std::function<absl::Status(uint32_t segment, uint32_t row)>& visit) const;

  // Opened for writing or created only, as all that follows.
  Batch NewBatch() const;
  // In the log when it returns; on the disk with `sync`, or after the next Sync. After an error it
  // is not known whether the batch will be there when the database is opened again.
  absl::Status Commit(const Batch& batch, bool sync);
  // A copy of all that was committed at `path`, which must not exist: linked where files never
  // change. Writing goes on.
  absl::Status Checkpoint(const std::string& path);
  // Everything that was committed is on the disk.
  absl::Status Sync();
  // Leaves the state into which a full disk puts the database, once there is space again.
  absl::Status Resume();
  // Gives back the disk space of the epochs before `epoch`, which a batch dropped.
  absl::Status ReclaimEpochsBefore(uint32_t epoch);

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
