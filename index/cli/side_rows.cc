#include "index/cli/side_rows.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::cli {
namespace {

absl::Status TooShort(const std::string& path, uint64_t rows) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, " has ", rows, " entries; row ", rows, " of the input has none"));
}

}  // namespace

absl::StatusOr<SideRows> SideRows::Open(const Sources& sources) {
  SideRows side;
  side.sources_ = sources;
  if (!sources.ids.empty()) {
    MRL_ASSIGN_OR_RETURN(side.ids_, io::OpenIds(FileSystem::Posix(), sources.ids));
  }
  if (!sources.payloads.empty()) {
    MRL_ASSIGN_OR_RETURN(side.payloads_,
                         io::LineReader::Open(FileSystem::Posix(), sources.payloads));
  }
  return side;
}

absl::Status SideRows::Read(uint64_t begin, size_t count, collection::Chunk* chunk) {
  if (payloads_ != nullptr) MRL_RETURN_IF_ERROR(ReadPayloads(begin, count, chunk));
  if (ids_ != nullptr) MRL_RETURN_IF_ERROR(ReadIds(begin, count, chunk));
  for (size_t i = chunk->ids.size(); i < count; ++i) chunk->ids.emplace_back(begin + i);
  return absl::OkStatus();
}

absl::Status SideRows::ReadPayloads(uint64_t begin, size_t count, collection::Chunk* chunk) {
  MRL_ASSIGN_OR_RETURN(io::JsonRows rows, io::ReadJsonRows(*payloads_, count, sources_.id_field));
  if (rows.texts.size() < count) return TooShort(sources_.payloads, begin + rows.texts.size());
  for (size_t i = 0; i < rows.id_texts.size(); ++i) {
    uint64_t number = 0;
    const bool is_number = rows.id_is_number[i] && absl::SimpleAtoi(rows.id_texts[i], &number);
    chunk->ids.push_back(is_number ? PointId(number) : PointId(std::move(rows.id_texts[i])));
  }
  chunk->payloads = std::move(rows.texts);
  return absl::OkStatus();
}

absl::Status SideRows::ReadIds(uint64_t begin, size_t count, collection::Chunk* chunk) {
  MRL_ASSIGN_OR_RETURN(io::IdRows rows, ids_->Read(count));
  if (rows.size() < count) return TooShort(sources_.ids, begin + rows.size());
  for (const uint64_t number : rows.numbers) chunk->ids.emplace_back(number);
  for (std::string& text : rows.texts) chunk->ids.emplace_back(std::move(text));
  return absl::OkStatus();
}

absl::Status SideRows::CheckEnd(uint64_t rows) {
  const auto longer = [rows](const std::string& path) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has more entries than the ", rows, " rows of the input"));
  };
  if (ids_ != nullptr) {
    MRL_ASSIGN_OR_RETURN(const io::IdRows more, ids_->Read(1));
    if (more.size() > 0) return longer(sources_.ids);
  }
  if (payloads_ != nullptr) {
    std::string line;
    MRL_ASSIGN_OR_RETURN(const bool more, payloads_->Next(&line));
    if (more) return longer(sources_.payloads);
  }
  return absl::OkStatus();
}

}  // namespace mrl::cli
