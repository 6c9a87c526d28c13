#include "index/cli/truth_cache.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "base/checksum.h"
#include "base/file.h"

namespace mrl::cli {
namespace {

constexpr uint64_t kNoRow = ~uint64_t{0};

std::string CacheFolder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return JoinPath(cache, "mrl/truth");
  }
  const char* home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? "" : JoinPath(home, ".cache/mrl/truth");
}

uint64_t ChecksumOf(const std::vector<uint64_t>& words, size_t from) {
  return Checksum(words.data() + from, (words.size() - from) * sizeof(uint64_t));
}

absl::Status Write(FileSystem& files, const std::string& path, const std::vector<uint64_t>& words) {
  auto file = files.Create(path);
  if (!file.ok()) return file.status();
  const absl::Status written =
      (*file)->WriteAt(0, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(words.data()),
                                              words.size() * sizeof(uint64_t)));
  return written.ok() ? (*file)->Close() : written;
}

}  // namespace

TruthCache::TruthCache(const collection::Collection& collection, const Queries& queries, uint32_t k)
    : folder_(CacheFolder()),
      name_(absl::StrFormat(
          "%s-%u-%u-%016x-%u-%u", collection.uuid(), collection.generation(), collection.sequence(),
          Checksum(queries.values.data(), queries.values.size() * sizeof(float)), queries.dims, k)),
      queries_(queries.rows),
      k_(k) {}

std::optional<std::vector<std::vector<uint64_t>>> TruthCache::Find() const {
  if (folder_.empty()) return std::nullopt;
  // A checksum, then k rows of each query.
  std::vector<uint64_t> words(1 + queries_ * k_);
  const auto file = FileSystem::Posix().Open(JoinPath(folder_, name_));
  if (!file.ok() || (*file)->size() != words.size() * sizeof(uint64_t)) return std::nullopt;
  const auto bytes =
      absl::MakeSpan(reinterpret_cast<std::byte*>(words.data()), words.size() * sizeof(uint64_t));
  if (!(*file)->ReadAt(0, bytes).ok() || ChecksumOf(words, 1) != words[0]) return std::nullopt;
  std::vector<std::vector<uint64_t>> truth(queries_);
  for (size_t i = 0; i < queries_; ++i) {
    for (size_t j = 0; j < k_; ++j) {
      if (const uint64_t row = words[1 + i * k_ + j]; row != kNoRow) truth[i].push_back(row);
    }
  }
  return truth;
}

void TruthCache::Keep(const std::vector<std::vector<uint64_t>>& truth) const {
  if (folder_.empty()) return;
  std::error_code ignored;
  std::filesystem::create_directories(folder_, ignored);
  FileSystem& files = FileSystem::Posix();
  const auto names = files.List(folder_);
  if (!names.ok()) return;
  // A full cache loses what stands first: names say nothing of age.
  for (size_t i = 0; i + kFilesMax <= names->size(); ++i) {
    files.Remove(JoinPath(folder_, (*names)[i])).IgnoreError();
  }
  std::vector<uint64_t> words(1 + queries_ * k_, kNoRow);
  for (size_t i = 0; i < queries_; ++i) {
    std::copy(truth[i].begin(), truth[i].end(), words.begin() + 1 + i * k_);
  }
  words[0] = ChecksumOf(words, 1);
  const std::string path = JoinPath(folder_, name_);
  const std::string part = absl::StrCat(path, ".part");
  files.RemoveTree(part).IgnoreError();
  if (Write(files, part, words).ok()) files.Rename(part, path).IgnoreError();
}

}  // namespace mrl::cli
