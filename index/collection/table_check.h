// A look at RocksDB's tables before RocksDB looks: it parses the properties of a table before it
// checks their checksum, and ends the process where they are impossible.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace mrl::collection {

// Checks the record of the last close, and compares every table of the database at `path` with the
// whole-file checksum that RocksDB's own manifest has for it. Opens none of them, takes no lock,
// writes nothing. DATA_LOSS names the table.
absl::Status CheckTables(const std::string& path);

}  // namespace mrl::collection
