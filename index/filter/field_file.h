// The side file of kind `filter`: for every indexed field of a segment its distinct values, sorted,
// and the rows of each. docs/formats/segment.md says what the bytes are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"
#include "base/memory_account.h"
#include "index/filter/field_index.h"
#include "index/filter/payload_values.h"
#include "index/schema/schema.h"
#include "index/store/segment.h"

namespace mrl::filter {

// Collects a segment's values in memory (16 bytes a value, and the words) and writes them at the
// end. Not thread-safe.
class FieldFileWriter {
 public:
  explicit FieldFileWriter(const Schema& schema);

  // The values of the next row.
  void Append(const RowValues& values);
  // Writes the file, synced and renamed into place; returns its size.
  absl::StatusOr<uint64_t> Finish(FileSystem& files, const std::string& path,
                                  const store::SegmentInfo& segment);

 private:
  struct Column {
    std::vector<std::pair<int64_t, uint32_t>> entries;  // key and row
    std::unordered_map<std::string, int64_t> words;     // of a keyword: its key
  };
  const Schema schema_;
  uint32_t rows_ = 0;
  std::vector<Column> columns_;
};

// Reads the file into memory; `fields` are those that it must have been made for. DATA_LOSS names
// the file and the part; RESOURCE_EXHAUSTED where `account`, which outlives the index, refuses.
absl::StatusOr<std::shared_ptr<const FieldIndex>> OpenFieldFile(FileSystem& files,
                                                                const std::string& path,
                                                                const store::Segment& segment,
                                                                const std::vector<Field>& fields,
                                                                MemoryAccount& account);

}  // namespace mrl::filter
