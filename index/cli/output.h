// Tables for people, on stdout.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "index/funnel/run.h"

namespace mrl::cli {

// Columns padded to their widest cell; the first row is the heading.
void PrintTable(const std::vector<std::vector<std::string>>& rows, std::FILE* out = stdout);
void PrintJson(const nlohmann::json& value);
// "1.5 MB".
std::string HumanBytes(uint64_t bytes);

void PrintStages(const funnel::Trace& trace);
nlohmann::json ToJson(const funnel::Trace& trace);
nlohmann::json ToJson(const PointId& id);

}  // namespace mrl::cli
