// Plots as SVG text: readable by themselves, light and dark, without scripts or outside files.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace mrl::cli {

struct PlotLine {
  std::string name;
  std::vector<std::pair<double, double>> points;
  bool dashed = false;
  size_t colour = 0;  // of a palette of kPlotColours
};
inline constexpr size_t kPlotColours = 6;

// y from 0 to `y_max`; x grows by doubling.
struct LinePlot {
  std::string title, x_label, y_label;
  std::vector<PlotLine> lines;
  double y_max = 1;
};
std::string ToSvg(const LinePlot& plot);

// Cells from 0 (light) to 1 (dark), each with its number.
struct HeatMap {
  std::string title, x_label, y_label;
  std::vector<std::string> columns, rows;
  std::vector<std::vector<double>> cells;  // [row][column]
};
std::string ToSvg(const HeatMap& map);

// Text between tags or in attributes.
std::string EscapeXml(const std::string& text);

}  // namespace mrl::cli
