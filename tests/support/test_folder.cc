#include "tests/support/test_folder.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/file.h"
#include "gtest/gtest.h"

namespace mrl::test {

TestFolder::TestFolder() {
  std::string pattern = JoinPath(testing::TempDir(), "mrl_test.XXXXXX");
  CHECK(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TestFolder::~TestFolder() { FileSystem::Posix().RemoveTree(path_).IgnoreError(); }

std::string TestFolder::Path(absl::string_view name) const { return JoinPath(path_, name); }

std::vector<std::string> TestFolder::Names() const { return *FileSystem::Posix().List(path_); }

std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  CHECK(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  CHECK(file.good());
}

void FlipByte(const std::string& path, uint64_t offset) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(offset));
  const int old = file.get();
  CHECK(file.good());
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(old ^ 0x10));
  file.close();
  CHECK(file.good());
}

std::vector<std::pair<std::string, std::string>> Snapshot(const std::string& folder) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    files.emplace_back(std::filesystem::relative(entry.path(), folder).string(),
                       entry.is_regular_file() ? ReadBytes(entry.path().string()) : "");
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace mrl::test
