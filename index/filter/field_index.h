// Which rows of a part have a value in an indexed field.
#pragma once

#include <cstddef>
#include <cstdint>

#include "index/filter/row_set.h"
#include "index/filter/value.h"

namespace mrl::filter {

// Fields are counted as in the schema. Thread-safe. Rows that an index has and `rows` has not are
// passed over, so that a view of a growing tail sees its own rows only.
class FieldIndex {
 public:
  virtual ~FieldIndex() = default;
  // Adds the rows that have `value`.
  virtual void AddEqual(size_t field, const Value& value, RowSet* rows) const = 0;
  // Adds the rows that have a key in [low, high]; not for keywords.
  virtual void AddRange(size_t field, int64_t low, int64_t high, RowSet* rows) const = 0;
  // Adds the rows that have any value.
  virtual void AddPresent(size_t field, RowSet* rows) const = 0;
  virtual uint64_t memory_bytes() const = 0;
};

}  // namespace mrl::filter
