// A folder for one test, with the ways a test looks at and damages files in it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace mrl::test {

// Removes itself with all that is in it.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string Path(absl::string_view name) const;
  // Names in the folder itself, hidden ones too.
  std::vector<std::string> Names() const;

 private:
  std::string path_;
};

// Of a whole file.
std::string ReadBytes(const std::string& path);
void WriteBytes(const std::string& path, const std::string& bytes);
// Changes one bit of the byte at `offset`; a second call changes it back.
void FlipByte(const std::string& path, uint64_t offset);
// Every file below `folder` with its bytes, by relative name: equal before and after means that
// nothing was touched.
std::vector<std::pair<std::string, std::string>> Snapshot(const std::string& folder);

}  // namespace mrl::test
