// The indexed fields of rows that no segment file holds yet: columns that are scanned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "index/filter/field_index.h"
#include "index/filter/payload_values.h"

namespace mrl::filter {

// Grows while others read. A block of the tail is small, so that a scan costs less than an index
// that would have to be kept.
class TailFields final : public FieldIndex {
 public:
  explicit TailFields(const std::vector<Field>& fields);

  // The values of row `row`; rows come in rising order.
  void Append(uint32_t row, const RowValues& values);

  void AddEqual(size_t field, const Value& value, RowSet* rows) const override;
  void AddRange(size_t field, int64_t low, int64_t high, RowSet* rows) const override;
  void AddPresent(size_t field, RowSet* rows) const override;
  uint64_t memory_bytes() const override;

 private:
  struct Column {
    bool is_keyword = false;
    std::vector<uint32_t> rows;  // rising
    std::vector<int64_t> keys;   // of keywords: the word's number
    std::unordered_map<std::string, int64_t> words;
  };
  void AddWhere(const Column& column, const std::function<bool(int64_t)>& wanted,
                RowSet* rows) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::vector<Column> columns_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mrl::filter
