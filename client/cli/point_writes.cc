// mrl points: upsert, get, payload.
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/file.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"
#include "client/cli/search_flags.h"

namespace mrl::cli {
namespace {

struct WriteFlags {
  std::string collection;
  std::string input;
  std::vector<std::string> ids;
  bool text_ids = false;
  bool async = false;
  bool if_absent = false;
  bool skip_invalid = false;
  bool with_vector = false;
  uint64_t batch = 500;
};

// A file of JSON objects, one a line, some lines at a time.
class Lines {
 public:
  static absl::StatusOr<Lines> Open(const std::string& path) {
    auto file = FileSystem::Posix().Open(path);
    if (!file.ok()) return LocalFileError(file.status());
    return Lines(path, *std::move(file));
  }
  // The next ones; none at the end.
  absl::StatusOr<std::vector<nlohmann::json>> Next(uint64_t count) {
    std::vector<nlohmann::json> objects;
    while (objects.size() < count) {
      MRL_ASSIGN_OR_RETURN(const bool more, NextLine());
      if (!more) break;
      if (line_.empty()) continue;
      objects.push_back(nlohmann::json::parse(line_, nullptr, /*allow_exceptions=*/false));
      if (!objects.back().is_object()) return Bad("it is no JSON object");
    }
    return objects;
  }
  absl::Status Bad(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": line ", number_, ": ", what));
  }

 private:
  static constexpr size_t kPieceBytes = 1 << 20;
  static constexpr size_t kLineBytesMax = 16 << 20;

  Lines(std::string path, std::unique_ptr<ReadableFile> file)
      : path_(std::move(path)), file_(std::move(file)) {}

  absl::StatusOr<bool> NextLine() {
    size_t end = buffer_.find('\n', at_);
    while (end == std::string::npos && offset_ < file_->size()) {
      if (buffer_.size() - at_ > kLineBytesMax) return Bad("it is longer than 16 MiB");
      buffer_.erase(0, std::exchange(at_, 0));
      const size_t before = buffer_.size();
      buffer_.resize(before + std::min<uint64_t>(kPieceBytes, file_->size() - offset_));
      const auto piece =
          absl::MakeSpan(reinterpret_cast<std::byte*>(&buffer_[before]), buffer_.size() - before);
      if (absl::Status read = file_->ReadAt(offset_, piece); !read.ok()) {
        return LocalFileError(std::move(read));
      }
      offset_ += piece.size();
      end = buffer_.find('\n', before);
    }
    if (at_ == buffer_.size()) return false;
    if (end == std::string::npos) end = buffer_.size();
    line_ = buffer_.substr(at_, end - at_);
    at_ = std::min(end + 1, buffer_.size());
    ++number_;
    return true;
  }

  std::string path_;
  std::unique_ptr<ReadableFile> file_;
  uint64_t offset_ = 0;
  std::string buffer_;
  size_t at_ = 0;
  std::string line_;
  uint64_t number_ = 0;
};

absl::StatusOr<client::Id> IdOf(const Lines& lines, const nlohmann::json& object) {
  const auto found = object.find("id");
  if (found != object.end() && found->is_number_unsigned()) {
    return client::Id(found->get<uint64_t>());
  }
  if (found != object.end() && found->is_string()) return client::Id(found->get<std::string>());
  return lines.Bad("it has no `id` that is a string or a whole number >= 0");
}

std::string PayloadOf(const nlohmann::json& object) {
  const auto found = object.find("payload");
  return found == object.end() || found->is_null() ? "" : found->dump();
}

absl::StatusOr<client::NewPoint> PointOf(const Lines& lines, const nlohmann::json& object) {
  MRL_ASSIGN_OR_RETURN(client::Id id, IdOf(lines, object));
  client::NewPoint point{.id = std::move(id), .vector = {}, .payload_json = PayloadOf(object)};
  const auto found = object.find("vector");
  if (found == object.end() || !found->is_array()) return lines.Bad("it has no array `vector`");
  for (const nlohmann::json& value : *found) {
    if (!value.is_number()) return lines.Bad("its vector has something that is no number");
    point.vector.push_back(value.get<float>());
  }
  return point;
}

absl::StatusOr<std::vector<client::NewPoint>> NextPoints(Lines& lines, const WriteFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const auto objects, lines.Next(flags.batch));
  std::vector<client::NewPoint> points;
  for (const nlohmann::json& object : objects) {
    MRL_ASSIGN_OR_RETURN(client::NewPoint point, PointOf(lines, object));
    point.if_absent = flags.if_absent;
    points.push_back(std::move(point));
  }
  return points;
}

void Print(const Globals& globals, const client::Written& written) {
  if (!globals.json) {
    std::printf("%llu points written\n", static_cast<unsigned long long>(written.points));
    for (const auto& failure : written.failures) {
      std::fprintf(stderr, "point %llu: %s\n", static_cast<unsigned long long>(failure.index),
                   failure.message.c_str());
    }
    return;
  }
  nlohmann::json failures = nlohmann::json::array();
  for (const auto& failure : written.failures) {
    failures.push_back({{"index", failure.index}, {"message", failure.message}});
  }
  PrintJson({{"points", written.points}, {"sequence", written.sequence}, {"failures", failures}});
}

absl::Status Upsert(client::Client& client, const Globals& globals, const WriteFlags& flags) {
  MRL_ASSIGN_OR_RETURN(Lines lines, Lines::Open(flags.input));
  client::Written written;
  if (flags.skip_invalid) {
    MRL_ASSIGN_OR_RETURN(written, client.WritePoints(flags.collection, !flags.async,
                                                     [&] { return NextPoints(lines, flags); }));
    Print(globals, written);
    return absl::OkStatus();
  }
  while (true) {
    MRL_ASSIGN_OR_RETURN(const std::vector<client::NewPoint> points, NextPoints(lines, flags));
    if (points.empty()) break;
    MRL_ASSIGN_OR_RETURN(const client::Written batch,
                         client.UpsertPoints(flags.collection, points, !flags.async));
    written.points += batch.points;
    written.sequence = batch.sequence;
  }
  Print(globals, written);
  return absl::OkStatus();
}

absl::Status Payload(client::Client& client, const Globals& globals, const WriteFlags& flags) {
  MRL_ASSIGN_OR_RETURN(Lines lines, Lines::Open(flags.input));
  client::Written written;
  while (true) {
    MRL_ASSIGN_OR_RETURN(const auto objects, lines.Next(flags.batch));
    if (objects.empty()) break;
    std::vector<std::pair<client::Id, std::string>> payloads;
    for (const nlohmann::json& object : objects) {
      MRL_ASSIGN_OR_RETURN(client::Id id, IdOf(lines, object));
      payloads.emplace_back(std::move(id), PayloadOf(object));
    }
    MRL_ASSIGN_OR_RETURN(const client::Written batch,
                         client.UpdatePayloads(flags.collection, payloads, !flags.async));
    written.points += batch.points;
    written.sequence = batch.sequence;
  }
  Print(globals, written);
  return absl::OkStatus();
}

absl::Status Get(client::Client& client, const Globals& globals, const WriteFlags& flags) {
  std::vector<client::Id> ids;
  for (const std::string& id : flags.ids) ids.push_back(ParseId(id, flags.text_ids));
  MRL_ASSIGN_OR_RETURN(const std::vector<client::Point> points,
                       client.GetPoints(flags.collection, ids, flags.with_vector));
  // The lines of `upsert --input`, so that what was read can be written.
  nlohmann::json all = nlohmann::json::array();
  for (const client::Point& point : points) {
    nlohmann::json json = {{"id", ToJson(point.id)}, {"sequence", point.sequence}};
    if (flags.with_vector) json["vector"] = point.vector;
    if (!point.payload_json.empty()) {
      json["payload"] = nlohmann::json::parse(point.payload_json, nullptr, false);
    }
    if (!globals.json) std::printf("%s\n", json.dump().c_str());
    all.push_back(std::move(json));
  }
  if (globals.json) PrintJson(all);
  return absl::OkStatus();
}

using Run = absl::Status (*)(client::Client&, const Globals&, const WriteFlags&);

CLI::App* AddOne(CLI::App& points, const char* name, const char* about, Run run,
                 const std::shared_ptr<WriteFlags>& flags, Verb* verb) {
  CLI::App* one = points.add_subcommand(name, about);
  one->add_option("collection,-c,--collection", flags->collection, "Name of the collection")
      ->required();
  RunWith(*one, flags, run, verb);
  return one;
}

void AddWriting(CLI::App& verb, const char* lines, const std::shared_ptr<WriteFlags>& flags) {
  verb.add_option("--input", flags->input, lines)->required();
  verb.add_option("--batch", flags->batch, "Points of one call")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  verb.add_flag("--async", flags->async, "Do not wait until they are on the disk");
}

}  // namespace

void AddPointWrites(CLI::App& points, Verb* verb) {
  auto flags = std::make_shared<WriteFlags>();
  CLI::App* upsert = AddOne(points, "upsert", "Write points from a file", Upsert, flags, verb);
  AddWriting(*upsert, "JSON lines: {\"id\": 7, \"vector\": [0.5, 1], \"payload\": {}}", flags);
  upsert->add_flag("--if-absent", flags->if_absent, "Refuse ids that have a point");
  upsert->add_flag("--skip-invalid", flags->skip_invalid,
                   "Write the rest where a point is refused, and say which");
  CLI::App* payload =
      AddOne(points, "payload", "Replace payloads from a file", Payload, flags, verb);
  AddWriting(*payload, "JSON lines: {\"id\": 7, \"payload\": {}}", flags);
  CLI::App* get = AddOne(points, "get", "Points by their ids, as JSON lines", Get, flags, verb);
  get->add_option("--id", flags->ids, "Of a point; digits are a number id")->required();
  get->add_flag("--text-id", flags->text_ids, "Digits in --id are text");
  get->add_flag("--with-vector", flags->with_vector, "With their vectors");
}

}  // namespace mrl::cli
