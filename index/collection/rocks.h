// RocksDB as this folder uses it: options, families, and the numbers in keys.
#pragma once

#include <rocksdb/db.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/collection/rocks_status.h"

namespace mrl::collection {

// The families of a collection's database. A database that was never written to since it was built
// may lack the last two (null).
struct Families {
  rocksdb::ColumnFamilyHandle* manifest = nullptr;
  rocksdb::ColumnFamilyHandle* ids = nullptr;        // IdKey -> sequence
  rocksdb::ColumnFamilyHandle* tail = nullptr;       // (epoch, sequence) -> store::EncodeRow
  rocksdb::ColumnFamilyHandle* deletions = nullptr;  // (segment, row) -> sequence of the deletion
};

inline constexpr char kManifestKey[] = "manifest";
inline constexpr char kRotationKey[] = "rotation";
inline constexpr char kSequenceKey[] = "sequence";  // the highest that was given out

// `env` null = the system's.
rocksdb::Options DatabaseOptions(rocksdb::Env* env = nullptr);

// Whether opening failed because somebody has the database open for writing. RocksDB has no code of
// its own for it.
bool IsLockHeld(const rocksdb::Status& status);

// Eight bytes, little-endian.
std::string EncodeSequence(uint64_t sequence);
absl::StatusOr<uint64_t> DecodeSequence(const rocksdb::Slice& bytes);

// Two numbers as a key that sorts as they do.
template <typename Second>
std::string PairKey(uint32_t first, Second second) {
  std::string key;
  for (int i = 3; i >= 0; --i) key.push_back(static_cast<char>(first >> (8 * i)));
  for (int i = sizeof(Second) - 1; i >= 0; --i) key.push_back(static_cast<char>(second >> (8 * i)));
  return key;
}
// DATA_LOSS for a key of another length.
template <typename Second>
absl::Status ParsePairKey(const rocksdb::Slice& key, uint32_t* first, Second* second) {
  if (key.size() != sizeof(uint32_t) + sizeof(Second)) {
    return absl::DataLossError("db: a key has an impossible length");
  }
  *first = 0;
  *second = 0;
  for (int i = 0; i < 4; ++i) *first = *first << 8 | static_cast<uint8_t>(key[i]);
  for (size_t i = 4; i < key.size(); ++i) *second = *second << 8 | static_cast<uint8_t>(key[i]);
  return absl::OkStatus();
}

}  // namespace mrl::collection
