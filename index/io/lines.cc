#include "index/io/lines.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::io {
namespace {

using Json = nlohmann::json;

absl::Status BadLine(const LineReader& lines, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(lines.path(), ": line ", lines.line_number(), ": ", what));
}

absl::Status AddId(const LineReader& lines, const Json& object, const std::string& field,
                   JsonRows* rows) {
  const auto at = object.find(field);
  if (at == object.end()) return BadLine(lines, absl::StrCat("the field '", field, "' is missing"));
  if (!at->is_string() && !at->is_number_unsigned()) {
    return BadLine(
        lines, absl::StrCat("the field '", field, "' is neither a string nor a whole number >= 0"));
  }
  rows->id_is_number.push_back(at->is_number_unsigned());
  rows->id_texts.push_back(at->is_string() ? at->get<std::string>() : at->dump());
  return absl::OkStatus();
}

}  // namespace

LineReader::LineReader(std::unique_ptr<ReadableFile> file, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {}

absl::StatusOr<std::unique_ptr<LineReader>> LineReader::Open(FileSystem& files,
                                                             const std::string& path) {
  MRL_ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, files.Open(path));
  return std::unique_ptr<LineReader>(new LineReader(std::move(file), path));
}

absl::Status LineReader::Fill() {
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t held = buffer_.size();
  buffer_.resize(held + std::min<uint64_t>(file_->size() - offset_, 256 << 10));
  const auto out =
      absl::MakeSpan(reinterpret_cast<std::byte*>(buffer_.data()) + held, buffer_.size() - held);
  MRL_RETURN_IF_ERROR(file_->ReadAt(offset_, out));
  offset_ += out.size();
  return absl::OkStatus();
}

absl::StatusOr<bool> LineReader::Next(std::string* line) {
  size_t end = buffer_.find('\n', at_);
  while (end == std::string::npos && offset_ < file_->size()) {
    if (buffer_.size() - at_ > kLineBytesMax) break;
    MRL_RETURN_IF_ERROR(Fill());
    end = buffer_.find('\n');
  }
  const size_t length = (end == std::string::npos ? buffer_.size() : end) - at_;
  if (length == 0 && end == std::string::npos) return false;
  ++line_number_;
  if (length > kLineBytesMax) {
    return BadLine(*this, absl::StrCat("it is longer than ", kLineBytesMax, " bytes"));
  }
  line->assign(buffer_, at_, length);
  at_ += length + (end == std::string::npos ? 0 : 1);
  if (!line->empty() && line->back() == '\r') line->pop_back();
  return true;
}

bool NestsDeeperThan(absl::string_view json, size_t depth) {
  size_t level = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if ((c == '{' || c == '[') && ++level > depth) return true;
    if ((c == '}' || c == ']') && level > 0) --level;
  }
  return false;
}

absl::StatusOr<JsonRows> ReadJsonRows(LineReader& lines, size_t count,
                                      const std::string& id_field) {
  JsonRows rows;
  std::string line;
  while (rows.texts.size() < count) {
    MRL_ASSIGN_OR_RETURN(const bool more, lines.Next(&line));
    if (!more) break;
    // Values inside values are written back by recursion, so that depth costs stack: it is bounded
    // before anything is parsed.
    if (NestsDeeperThan(line, JsonRows::kDepthMax)) {
      return BadLine(lines,
                     absl::StrCat("values stand more than ", JsonRows::kDepthMax, " levels deep"));
    }
    const Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (object.is_discarded()) return BadLine(lines, "it is not valid JSON");
    if (!object.is_object()) return BadLine(lines, "it is not a JSON object");
    if (!id_field.empty()) MRL_RETURN_IF_ERROR(AddId(lines, object, id_field, &rows));
    // Strings were checked as UTF-8 by the parser; nothing is left to refuse here.
    rows.texts.push_back(object.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return rows;
}

}  // namespace mrl::io
