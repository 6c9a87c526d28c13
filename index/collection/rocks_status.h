// RocksDB's errors as ours, and its log as nothing.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/status.h>

#include <cstdarg>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace mrl::collection {

// RocksDB would write a LOG file into the folder it reads.
class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

// `what: ` and RocksDB's message, in which bytes of a damaged file are escaped: an answer of the
// server must be UTF-8.
absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what);

// What is read from an existing database and cannot be read is damage, whatever RocksDB calls it.
absl::Status FromDamaged(const rocksdb::Status& status, absl::string_view what);

}  // namespace mrl::collection
