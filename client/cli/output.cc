#include "client/cli/output.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace mrl::cli {
namespace {

using nlohmann::json;

// Payloads come from whoever built the collection: parsing must not throw.
json ParsePayload(const std::string& text) { return json::parse(text, nullptr, false); }

std::string TextOf(const client::Hit& hit) {
  const json payload = ParsePayload(hit.payload_json);
  if (payload.is_object()) {
    if (auto text = payload.find("text"); text != payload.end() && text->is_string()) {
      return text->get<std::string>();
    }
  }
  return hit.payload_json;
}

}  // namespace

void PrintTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      absl::StrAppend(&line, row[i], last ? "" : std::string(widths[i] - row[i].size() + 2, ' '));
    }
    std::printf("%s\n", line.c_str());
  }
}

void PrintJson(const json& value) {
  std::printf("%s\n", value.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
}

void PrintHits(const client::SearchResult& result) {
  std::vector<std::vector<std::string>> rows = {{"rank", "id", "score", "text"}};
  for (size_t i = 0; i < result.hits.size(); ++i) {
    const client::Hit& hit = result.hits[i];
    rows.push_back({absl::StrCat(i + 1), client::ToString(hit.id),
                    absl::StrFormat("%.4f", hit.score), TextOf(hit)});
  }
  PrintTable(rows);
}

void PrintStages(const client::SearchStats& stats) {
  std::vector<std::vector<std::string>> rows = {
      {"stage", "kind", "dims", "in", "out", "micros", "bytes"}};
  for (size_t i = 0; i < stats.stages.size(); ++i) {
    const client::Stage& stage = stats.stages[i];
    const std::string dims =
        stage.bits == 0 ? absl::StrCat(stage.dims) : absl::StrCat(stage.dims, "b", stage.bits);
    rows.push_back({absl::StrCat(i), stage.kind, dims, absl::StrCat(stage.candidates_in),
                    absl::StrCat(stage.candidates_out), absl::StrFormat("%.0f", stage.micros),
                    absl::StrCat(stage.bytes_touched)});
  }
  PrintTable(rows);
  std::string profile;
  if (!stats.profile.empty()) {
    profile = absl::StrCat(" of profile ", stats.profile, " version ", stats.profile_version);
  }
  if (stats.degraded) absl::StrAppend(&profile, ", degraded: the deadline came first");
  uint64_t left_out = 0;
  for (const client::Stage& stage : stats.stages) left_out += stage.left_out;
  if (left_out > 0) absl::StrAppend(&profile, ", ", left_out, " candidates left out");
  std::printf("plan %s%s; %.0f us in the server, %llu multiply-adds, generation %llu\n",
              stats.plan.c_str(), profile.c_str(), stats.total_micros,
              static_cast<unsigned long long>(stats.multiply_adds),
              static_cast<unsigned long long>(stats.generation));
}

json ToJson(const client::Id& id) {
  if (const auto* number = std::get_if<uint64_t>(&id)) return *number;
  return std::get<std::string>(id);
}

json ToJson(const client::SearchResult& result) {
  json hits = json::array();
  for (const client::Hit& hit : result.hits) {
    json out = {{"id", ToJson(hit.id)}, {"score", hit.score}};
    const json payload = ParsePayload(hit.payload_json);
    if (!payload.is_discarded()) out["payload"] = payload;
    if (!hit.vector.empty()) out["vector"] = hit.vector;
    hits.push_back(std::move(out));
  }
  const client::SearchStats& stats = result.stats;
  json stages = json::array();
  for (const client::Stage& stage : stats.stages) {
    stages.push_back({{"kind", stage.kind},
                      {"dims", stage.dims},
                      {"bits", stage.bits},
                      {"in", stage.candidates_in},
                      {"out", stage.candidates_out},
                      {"left_out", stage.left_out},
                      {"rescored", stage.rescored},
                      {"bytes_touched", stage.bytes_touched},
                      {"cold_bytes", stage.cold_bytes},
                      {"micros", stage.micros},
                      {"score_cut", stage.score_cut}});
  }
  return {{"hits", hits},
          {"stages", stages},
          {"plan", stats.plan},
          {"profile", stats.profile},
          {"profile_version", stats.profile_version},
          {"degraded", stats.degraded},
          {"early_exit_stages", stats.early_exit_stages},
          {"adaptive_keep_recall",
           stats.adaptive_keep_recall ? json(*stats.adaptive_keep_recall) : json()},
          {"generation", stats.generation},
          {"rows_scanned", stats.rows_scanned},
          {"multiply_adds", stats.multiply_adds},
          {"tile_queries", stats.tile_queries},
          {"queue_micros", stats.queue_micros},
          {"engine_micros", stats.engine_micros},
          {"total_micros", stats.total_micros}};
}

}  // namespace mrl::cli
