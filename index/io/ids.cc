#include "index/io/ids.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/io/lines.h"
#include "index/io/npy.h"

namespace mrl::io {
namespace {

class NpyIds final : public IdReader {
 public:
  NpyIds(std::unique_ptr<ReadableFile> file, std::string name, const NpyHeader& header)
      : file_(std::move(file)),
        name_(std::move(name)),
        data_offset_(header.data_offset),
        rows_(header.shape[0]),
        may_be_negative_(header.dtype == "<i8") {}

  absl::StatusOr<IdRows> Read(size_t count) override {
    IdRows ids;
    ids.numbers.resize(std::min<uint64_t>(count, rows_ - next_));
    MRL_RETURN_IF_ERROR(
        file_->ReadAt(data_offset_ + next_ * sizeof(uint64_t),
                      absl::MakeSpan(reinterpret_cast<std::byte*>(ids.numbers.data()),
                                     ids.numbers.size() * sizeof(uint64_t))));
    for (size_t i = 0; may_be_negative_ && i < ids.numbers.size(); ++i) {
      const auto id = static_cast<int64_t>(ids.numbers[i]);
      if (id >= 0) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(name_, ": row ", next_ + i, " has the id ", id, "; 0 is the least allowed"));
    }
    next_ += ids.numbers.size();
    return ids;
  }

 private:
  const std::unique_ptr<ReadableFile> file_;
  const std::string name_;
  const uint64_t data_offset_;
  const uint64_t rows_;
  const bool may_be_negative_;
  uint64_t next_ = 0;
};

class TextIds final : public IdReader {
 public:
  explicit TextIds(std::unique_ptr<LineReader> lines) : lines_(std::move(lines)) {}

  absl::StatusOr<IdRows> Read(size_t count) override {
    IdRows ids;
    std::string line;
    while (ids.texts.size() < count) {
      MRL_ASSIGN_OR_RETURN(const bool more, lines_->Next(&line));
      if (!more) break;
      ids.texts.push_back(std::move(line));
    }
    return ids;
  }

 private:
  const std::unique_ptr<LineReader> lines_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<IdReader>> OpenIds(FileSystem& files, const std::string& path) {
  if (!absl::EndsWith(path, ".npy")) {
    MRL_ASSIGN_OR_RETURN(std::unique_ptr<LineReader> lines, LineReader::Open(files, path));
    return std::make_unique<TextIds>(std::move(lines));
  }
  MRL_ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, files.Open(path));
  MRL_ASSIGN_OR_RETURN(const NpyHeader header, ReadNpyHeader(*file, path, {"<u8", "<i8"}));
  if (header.shape.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", header.shape.size(), " axes; ids have 1"));
  }
  return std::make_unique<NpyIds>(std::move(file), path, header);
}

}  // namespace mrl::io
