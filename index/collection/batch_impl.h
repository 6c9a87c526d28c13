// What a Batch holds; for the database that commits it.
#pragma once

#include <rocksdb/write_batch.h>

#include "index/collection/batch.h"
#include "index/collection/rocks.h"

namespace mrl::collection {

class Batch::Impl {
 public:
  explicit Impl(const Families& families) : families_(families) {}
  const Families families_;
  rocksdb::WriteBatch writes_;
};

}  // namespace mrl::collection
