#include "index/cli/truth_cache.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "base/checksum.h"
#include "base/file.h"
#include "index/cli/replace_file.h"

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

// What tells these rows from others; nothing where some are in no segment.
std::optional<std::string> NameRows(const funnel::View& view) {
  std::string name = MRL_VERSION;
  for (const funnel::View::Part& part : view.parts) {
    const std::string& uuid = part.segment->info().uuid;
    if (uuid.empty()) return std::nullopt;
    absl::StrAppend(&name, " ", uuid);
    if (part.allowed == nullptr) continue;
    absl::StrAppend(&name, " ",
                    Checksum(part.allowed->data(), part.allowed->size() * sizeof(uint64_t)));
  }
  return name;
}

void RemoveOldest(const std::string& folder) {
  std::error_code ignored;
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    files.emplace_back(entry.last_write_time(ignored), entry.path());
  }
  std::sort(files.begin(), files.end());
  for (size_t i = 0; i + TruthCache::kFilesMax <= files.size(); ++i) {
    std::filesystem::remove(files[i].second, ignored);
  }
}

}  // namespace

TruthCache::TruthCache(const collection::Collection& collection, const Queries& queries, uint32_t k)
    : queries_(queries.rows), k_(k) {
  const auto rows = NameRows(collection.view());
  if (!rows || FileBytes() > kBytesMax) return;
  folder_ = CacheFolder();
  name_ = absl::StrFormat("%016x-%016x-%u-%u", Checksum(rows->data(), rows->size()),
                          Checksum(queries.values.data(), queries.values.size() * sizeof(float)),
                          queries.dims, k);
}

uint64_t TruthCache::FileBytes() const { return (1 + uint64_t{queries_} * k_) * sizeof(uint64_t); }

std::optional<std::vector<std::vector<uint64_t>>> TruthCache::Find() const {
  if (folder_.empty()) return std::nullopt;
  const auto file = FileSystem::Posix().Open(JoinPath(folder_, name_));
  if (!file.ok() || (*file)->size() != FileBytes()) return std::nullopt;
  // A checksum, then k rows of each query.
  std::vector<uint64_t> words(FileBytes() / sizeof(uint64_t));
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
  RemoveOldest(folder_);
  std::vector<uint64_t> words(FileBytes() / sizeof(uint64_t), kNoRow);
  for (size_t i = 0; i < queries_; ++i) {
    std::copy(truth[i].begin(), truth[i].end(), words.begin() + 1 + i * k_);
  }
  words[0] = ChecksumOf(words, 1);
  const absl::string_view bytes(reinterpret_cast<const char*>(words.data()),
                                words.size() * sizeof(uint64_t));
  ReplaceFile(JoinPath(folder_, name_), bytes).IgnoreError();
}

}  // namespace mrl::cli
