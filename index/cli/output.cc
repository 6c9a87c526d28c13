#include "index/cli/output.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace mrl::cli {

void PrintTable(const std::vector<std::vector<std::string>>& rows, std::FILE* out) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i], std::string(widths[i] - row[i].size() + 2, ' '));
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    std::fprintf(out, "%s\n", line.c_str());
  }
}

void PrintJson(const nlohmann::json& value) {
  std::puts(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

std::string HumanBytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, value, kUnits[unit]);
}

void PrintStages(const funnel::Trace& trace) {
  std::vector<std::vector<std::string>> table = {
      {"stage", "kind", "dims", "bits", "in", "out", "bytes", "of disk", "time (us)", "score cut"}};
  for (size_t i = 0; i < trace.stages.size(); ++i) {
    const funnel::StageTrace& stage = trace.stages[i];
    table.push_back(
        {absl::StrCat(i), stage.kind, absl::StrCat(stage.dims),
         stage.bits == 0 ? "stored" : absl::StrCat(stage.bits), absl::StrCat(stage.candidates_in),
         absl::StrCat(stage.candidates_out), HumanBytes(stage.bytes), HumanBytes(stage.cold_bytes),
         absl::StrFormat("%.1f", stage.micros), absl::StrFormat("%.4f", stage.score_cut)});
  }
  PrintTable(table);
  uint64_t left_out = 0;
  for (const funnel::StageTrace& stage : trace.stages) left_out += stage.left_out;
  const std::string also =
      left_out == 0 ? "" : absl::StrCat(", ", left_out, " candidates left out");
  std::printf("multiply-adds %llu%s\n", static_cast<unsigned long long>(trace.multiply_adds),
              also.c_str());
}

nlohmann::json ToJson(const PointId& id) {
  return id.is_number() ? nlohmann::json(id.number()) : nlohmann::json(id.text());
}

nlohmann::json ToJson(const funnel::Trace& trace) {
  nlohmann::json stages = nlohmann::json::array();
  for (const funnel::StageTrace& stage : trace.stages) {
    stages.push_back({{"kind", stage.kind},
                      {"dims", stage.dims},
                      {"bits", stage.bits},
                      {"in", stage.candidates_in},
                      {"out", stage.candidates_out},
                      {"left_out", stage.left_out},
                      {"bytes", stage.bytes},
                      {"cold_bytes", stage.cold_bytes},
                      {"micros", stage.micros},
                      {"score_cut", stage.score_cut}});
  }
  return {{"stages", stages}, {"multiply_adds", trace.multiply_adds}};
}

}  // namespace mrl::cli
