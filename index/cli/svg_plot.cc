#include "index/cli/svg_plot.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace mrl::cli {
namespace {

constexpr double kWidth = 640, kHeight = 380;
constexpr double kLeft = 62, kRight = 170, kTop = 40, kBottom = 52;

// One style for all plots; the palette keeps apart for colour-blind eyes (Okabe and Ito).
constexpr char kStyle[] = R"(<style>
.mrl{--ink:#1c2430;--soft:#5b6675;--line:#d6dce4;--paper:#ffffff;--c0:#0072b2;--c1:#d55e00;
--c2:#009e73;--c3:#cc79a7;--c4:#b58900;--c5:#56b4e9;--heat:0,114,178;
font:13px system-ui,sans-serif;background:var(--paper)}
@media (prefers-color-scheme:dark){.mrl{--ink:#e6eaf0;--soft:#9aa6b5;--line:#39424f;
--paper:#161b22;--c0:#58a6e0;--c1:#f0883e;--c2:#3fc9a0;--c3:#e4a3c6;--c4:#e3c04a;--c5:#8fd3f7;
--heat:88,166,224}}
.mrl text{fill:var(--ink)}.mrl .soft{fill:var(--soft)}.mrl .title{font-size:15px;font-weight:600}
.mrl .grid{stroke:var(--line);stroke-width:1}.mrl .data{fill:none;stroke-width:2.2}
.mrl .dashed{stroke-dasharray:5 4;opacity:.75}
</style>)";

std::string Open(double width, double height, const std::string& title) {
  return absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"mrl\" viewBox=\"0 0 %g %g\" "
      "width=\"%g\" height=\"%g\" role=\"img\" aria-label=\"%s\">%s"
      "<rect width=\"%g\" height=\"%g\" fill=\"var(--paper)\"/>"
      "<text class=\"title\" x=\"%g\" y=\"22\">%s</text>\n",
      width, height, width, height, EscapeXml(title), kStyle, width, height, 14.0,
      EscapeXml(title));
}

std::string Text(double x, double y, const char* anchor, const std::string& text,
                 const char* css = "soft") {
  return absl::StrFormat("<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n",
                         css, x, y, anchor, EscapeXml(text));
}

std::string Upright(double x, double y, const std::string& text) {
  return absl::StrFormat(
      "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
      "transform=\"rotate(-90 %.1f %.1f)\">%s</text>\n",
      x, y, x, y, EscapeXml(text));
}

// 1, 2, 2.5 or 5 times a power of ten, so that fifths of it have few digits.
double RoundUp(double value) {
  if (value <= 0) return 1;
  const double power = std::pow(10, std::floor(std::log10(value)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0, 10.0}) {
    if (value <= factor * power * (1 + 1e-9)) return factor * power;
  }
  return 10 * power;
}

// Where the values of a plot lie on the paper.
class Axes {
 public:
  explicit Axes(const LinePlot& plot) : y_max_(RoundUp(plot.y_max)) {
    for (const PlotLine& line : plot.lines) {
      for (const auto& [x, y] : line.points) xs_.push_back(x);
    }
    std::sort(xs_.begin(), xs_.end());
    xs_.erase(std::unique(xs_.begin(), xs_.end()), xs_.end());
  }
  double X(double value) const {
    const double range = std::log2(xs_.back() / xs_.front());
    const double share = range == 0 ? 0.5 : std::log2(value / xs_.front()) / range;
    return kLeft + share * (kWidth - kLeft - kRight);
  }
  double Y(double value) const {
    const double share = std::clamp(value / y_max_, 0.0, 1.0);
    return kHeight - kBottom - share * (kHeight - kTop - kBottom);
  }
  std::string Draw(const LinePlot& plot) const {
    std::string svg;
    for (int i = 0; i <= 5; ++i) {
      const double value = y_max_ * i / 5;
      absl::StrAppendFormat(&svg,
                            "<line class=\"grid\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                            kLeft, kWidth - kRight, Y(value), Y(value));
      svg += Text(kLeft - 8, Y(value) + 4, "end", absl::StrFormat("%g", value));
    }
    double last = -100;
    for (const double x : xs_) {
      if (X(x) - last < 30) continue;  // two labels would touch
      last = X(x);
      svg += Text(last, kHeight - kBottom + 18, "middle", absl::StrFormat("%g", x));
    }
    svg += Text((kLeft + kWidth - kRight) / 2, kHeight - 12, "middle", plot.x_label);
    return svg + Upright(16, (kTop + kHeight - kBottom) / 2, plot.y_label);
  }

 private:
  const double y_max_;
  std::vector<double> xs_;
};

std::string Colour(size_t colour) { return absl::StrCat("var(--c", colour % kPlotColours, ")"); }

std::string DrawLine(const Axes& axes, const PlotLine& line) {
  std::string points;
  for (const auto& [x, y] : line.points) {
    absl::StrAppendFormat(&points, "%.1f,%.1f ", axes.X(x), axes.Y(y));
  }
  std::string svg = absl::StrFormat("<polyline class=\"data%s\" stroke=\"%s\" points=\"%s\"/>\n",
                                    line.dashed ? " dashed" : "", Colour(line.colour), points);
  if (line.dashed) return svg;
  for (const auto& [x, y] : line.points) {
    absl::StrAppendFormat(&svg,
                          "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s: %g at "
                          "%g</title></circle>\n",
                          axes.X(x), axes.Y(y), Colour(line.colour), EscapeXml(line.name), y, x);
  }
  return svg;
}

std::string Legend(const LinePlot& plot) {
  std::string svg;
  double y = kTop + 8;
  for (const PlotLine& line : plot.lines) {
    if (line.name.empty()) continue;
    const double x = kWidth - kRight + 18;
    absl::StrAppendFormat(
        &svg,
        "<line class=\"data%s\" stroke=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
        line.dashed ? " dashed" : "", Colour(line.colour), x, x + 22, y, y);
    svg += Text(x + 30, y + 4, "start", line.name);
    y += 20;
  }
  return svg;
}

}  // namespace

std::string EscapeXml(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string ToSvg(const LinePlot& plot) {
  const Axes axes(plot);
  std::string svg = Open(kWidth, kHeight, plot.title) + axes.Draw(plot);
  for (const PlotLine& line : plot.lines) svg += DrawLine(axes, line);
  return svg + Legend(plot) + "</svg>\n";
}

std::string ToSvg(const HeatMap& map) {
  constexpr double kCellWidth = 64, kCellHeight = 34, kLabels = 130;
  const double width = kLabels + kCellWidth * static_cast<double>(map.columns.size()) + 20;
  const double height = kTop + kCellHeight * static_cast<double>(map.rows.size()) + kBottom;
  std::string svg = Open(std::max(width, kWidth), height, map.title);
  for (size_t row = 0; row < map.rows.size(); ++row) {
    const double y = kTop + kCellHeight * static_cast<double>(row);
    svg += Text(kLabels - 10, y + kCellHeight / 2 + 4, "end", map.rows[row]);
    for (size_t column = 0; column < map.columns.size(); ++column) {
      const double x = kLabels + kCellWidth * static_cast<double>(column);
      const double value = std::clamp(map.cells[row][column], 0.0, 1.0);
      absl::StrAppendFormat(&svg,
                            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"3\" "
                            "fill=\"rgba(var(--heat),%.3f)\"/>\n",
                            x + 1, y + 1, kCellWidth - 2, kCellHeight - 2, 0.05 + 0.6 * value);
      svg += Text(x + kCellWidth / 2, y + kCellHeight / 2 + 4, "middle",
                  absl::StrFormat("%.3f", map.cells[row][column]), "ink");
    }
  }
  for (size_t column = 0; column < map.columns.size(); ++column) {
    svg += Text(kLabels + kCellWidth * (static_cast<double>(column) + 0.5), height - kBottom + 18,
                "middle", map.columns[column]);
  }
  svg += Text(kLabels + kCellWidth * static_cast<double>(map.columns.size()) / 2, height - 12,
              "middle", map.x_label);
  return svg + Upright(16, kTop + (height - kTop - kBottom) / 2, map.y_label) + "</svg>\n";
}

}  // namespace mrl::cli
