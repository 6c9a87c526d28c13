// Results as tables for people and as JSON for programs, on stdout.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "client/cpp/types.h"

namespace mrl::cli {

// Columns padded to their widest cell; the first row is the heading.
void PrintTable(const std::vector<std::vector<std::string>>& rows);
void PrintJson(const nlohmann::json& value);

// Rank, id, score and the payload's `text` (or the payload itself where it has none).
void PrintHits(const client::SearchResult& result);
void PrintStages(const client::SearchStats& stats);

nlohmann::json ToJson(const client::Id& id);
nlohmann::json ToJson(const client::SearchResult& result);

}  // namespace mrl::cli
