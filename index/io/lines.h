// Text files by line, with a bounded length of line: ids and JSONL.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"

namespace mrl::io {

// Not thread-safe.
class LineReader {
 public:
  static constexpr size_t kLineBytesMax = 1 << 20;

  static absl::StatusOr<std::unique_ptr<LineReader>> Open(FileSystem& files,
                                                          const std::string& path);
  // The next line without its end, "\r\n" too. False at the end of the file. INVALID_ARGUMENT names
  // the line (from 1) that is too long.
  absl::StatusOr<bool> Next(std::string* line);
  uint64_t line_number() const { return line_number_; }  // of the last line returned
  const std::string& path() const { return path_; }

 private:
  LineReader(std::unique_ptr<ReadableFile> file, std::string path);
  absl::Status Fill();

  const std::unique_ptr<ReadableFile> file_;
  const std::string path_;
  uint64_t offset_ = 0;  // of the bytes after buffer_
  std::string buffer_;
  size_t at_ = 0;
  uint64_t line_number_ = 0;
};

// Whether objects and arrays stand more than `depth` levels inside each other. Brackets within
// strings do not count; `json` need not be JSON.
bool NestsDeeperThan(absl::string_view json, size_t depth);

// One JSON object a line: the next `count` of them as compact texts. With `id_field`, `ids` gets
// that field of each (a string, or a whole number >= 0). INVALID_ARGUMENT names the line.
struct JsonRows {
  static constexpr size_t kDepthMax = 64;  // objects and arrays inside each other

  std::vector<std::string> texts;
  std::vector<std::string> id_texts;  // decimal for numbers
  std::vector<bool> id_is_number;
};
absl::StatusOr<JsonRows> ReadJsonRows(LineReader& lines, size_t count, const std::string& id_field);

}  // namespace mrl::io
