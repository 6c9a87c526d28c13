// The dimension report for readers: plots, and one page that holds them all.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "index/tune/dimension_report.h"
#include "index/tune/layer_grid.h"

namespace mrl::cli {

struct ReportPage {
  std::string source;  // what was measured: a file or a directory
  std::optional<tune::DimensionReport> report;
  std::vector<uint64_t> bytes_per_row;  // of each prefix, as stored
  std::vector<double> scan_ms;          // of each prefix by the index; empty without one
  std::optional<tune::LayerGrid> grid;
};

// Columns for the table of a terminal and of the page; the first row is the heading.
std::vector<std::vector<std::string>> ReportTable(const ReportPage& page);
// "quality.svg", … and their text.
std::vector<std::pair<std::string, std::string>> ReportPlots(const ReportPage& page);
// One HTML file without scripts or outside files.
std::string ReportHtml(const ReportPage& page);

}  // namespace mrl::cli
