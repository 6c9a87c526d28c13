// What RocksDB's own manifest was when the database was closed in order. RocksDB takes a length
// that rots in it for the place where writing stopped, and leaves out what follows.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace rocksdb {
class Env;
}

namespace mrl::collection {

// Writes the record of the database at `path`, which is closed, in one step and durably.
absl::Status WriteClosedRecord(rocksdb::Env& env, const std::string& path);
// DATA_LOSS where the record is damaged, or the manifest that it speaks of is the current one and
// has other bytes. OK without a record, and after writing went on: then another manifest is
// current.
absl::Status CheckClosedRecord(const std::string& path);

}  // namespace mrl::collection
