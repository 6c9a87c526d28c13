#include "index/cli/report_page.h"

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "index/cli/output.h"
#include "index/cli/svg_plot.h"

namespace mrl::cli {
namespace {

using tune::DimensionReport;
using tune::PrefixQuality;

// Up to five of the shortlist lengths, spread.
std::vector<size_t> KeepsToShow(const DimensionReport& report) {
  std::vector<size_t> shown;
  const size_t step = (report.keeps.size() + 4) / 5;
  for (size_t i = 0; i < report.keeps.size(); i += step) shown.push_back(i);
  return shown;
}

PlotLine LineOf(const DimensionReport& report, const std::string& name, size_t colour,
                const std::function<double(const PrefixQuality&)>& value) {
  PlotLine line;
  line.name = name;
  line.colour = colour;
  for (const PrefixQuality& prefix : report.prefixes) {
    line.points.emplace_back(prefix.dims, value(prefix));
  }
  return line;
}

std::string QualityPlot(const DimensionReport& report) {
  LinePlot plot;
  plot.title = "How well does a prefix alone agree with the full vector?";
  plot.x_label = "dimensions of the prefix";
  plot.y_label = "agreement";
  plot.lines = {
      LineOf(report, absl::StrCat("recall@", report.k), 0,
             [](const PrefixQuality& prefix) { return prefix.recall; }),
      LineOf(report, "overlap@100", 1, [](const PrefixQuality& prefix) { return prefix.overlap; }),
      LineOf(report, "Kendall's tau", 2,
             [](const PrefixQuality& prefix) { return prefix.kendall; })};
  return ToSvg(plot);
}

std::string ShortlistPlot(const DimensionReport& report) {
  LinePlot plot;
  plot.title = absl::StrCat("Share of the true ", report.k, " in a shortlist of K");
  plot.x_label = "dimensions of the prefix";
  plot.y_label = "shortlist recall";
  size_t colour = 0;
  for (const size_t keep : KeepsToShow(report)) {
    plot.lines.push_back(
        LineOf(report, absl::StrCat("K = ", report.keeps[keep]), colour,
               [keep](const PrefixQuality& prefix) { return prefix.shortlist[keep]; }));
    PlotLine control = LineOf(report, "", colour,
                              [keep](const PrefixQuality& prefix) { return prefix.control[keep]; });
    control.dashed = true;
    plot.lines.push_back(std::move(control));
    ++colour;
  }
  PlotLine key;
  key.name = "random dims";
  key.dashed = true;
  key.colour = plot.lines.empty() ? 0 : plot.lines.front().colour;
  plot.lines.push_back(std::move(key));
  return ToSvg(plot);
}

std::string EnergyPlot(const DimensionReport& report) {
  LinePlot plot;
  plot.title = "Share of the squared norm in a prefix";
  plot.x_label = "dimensions of the prefix";
  plot.y_label = "energy";
  const double dim = report.prefixes.back().dims;
  plot.lines = {
      LineOf(report, "these vectors", 0, [](const PrefixQuality& prefix) { return prefix.energy; }),
      LineOf(report, "spread evenly", 1,
             [dim](const PrefixQuality& prefix) { return prefix.dims / dim; })};
  plot.lines.back().dashed = true;
  return ToSvg(plot);
}

std::string TimePlot(const ReportPage& page) {
  const DimensionReport& report = *page.report;
  LinePlot plot;
  plot.x_label = "dimensions of the prefix";
  PlotLine line;
  for (size_t i = 0; i < report.prefixes.size(); ++i) {
    const double value =
        page.scan_ms.empty() ? report.prefixes[i].scan_ns_per_row : page.scan_ms[i];
    line.points.emplace_back(report.prefixes[i].dims, value);
    plot.y_max = i == 0 ? value : std::max(plot.y_max, value);
  }
  line.name = "measured";
  plot.lines = {line};
  plot.title = page.scan_ms.empty() ? "Time of a plain scan, one core"
                                    : "Time of the index's search by the prefix alone";
  plot.y_label = page.scan_ms.empty() ? "ns per row" : "ms per query";
  return ToSvg(plot);
}

HeatMap QualityMap(const tune::LayerGrid& grid) {
  HeatMap map;
  map.title = "Recall by layer and dimension";
  map.x_label = "dimensions of the prefix";
  map.y_label = "layer";
  map.rows = grid.layers;
  for (const uint32_t dims : grid.dims) map.columns.push_back(absl::StrCat(dims));
  map.cells = grid.recall;
  return map;
}

HeatMap CrossMap(const tune::LayerGrid& grid) {
  HeatMap map;
  map.title = "Queries of one layer, documents of another";
  map.x_label = "layer of the documents";
  map.y_label = "queries";
  map.rows = grid.layers;
  map.columns = grid.layers;
  map.cells = grid.cross;
  return map;
}

const char* VerdictText(tune::Verdict verdict) {
  switch (verdict) {
    case tune::Verdict::kUseful:
      return "Prefixes are useful";
    case tune::Verdict::kRotated:
      return "Prefixes are useful, by a rotation";
    case tune::Verdict::kNotUseful:
      return "Prefixes are not useful";
  }
  return "";
}

std::string HtmlTable(const std::vector<std::vector<std::string>>& rows) {
  std::string html = "<div class=\"scroll\"><table>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    html += "<tr>";
    for (const std::string& cell : rows[i]) {
      const char* tag = i == 0 ? "th" : "td";
      absl::StrAppend(&html, "<", tag, ">", EscapeXml(cell), "</", tag, ">");
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

constexpr char kHead[] = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Dimension report</title>
<style>
:root{--ink:#1c2430;--soft:#5b6675;--line:#d6dce4;--paper:#fff;--page:#f4f6f9;--good:#1a7f4b;
--bad:#b3402a}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#39424f;
--paper:#161b22;--page:#0d1117;--good:#3fc98a;--bad:#f0785a}}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1360px;margin:0 auto;padding:28px 20px}
h1{font-size:26px;margin:0 0 4px}.soft{color:var(--soft);margin:0 0 20px}
.verdict{font-size:20px;font-weight:600;margin:0 0 8px}.good{color:var(--good)}
.bad{color:var(--bad)}
section{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:18px 20px;
margin:0 0 18px}
ul{margin:0;padding-left:20px}li{margin:4px 0}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,560px),1fr));gap:18px}
.plots section{margin:0}.plots svg{width:100%;height:auto}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:14px;width:100%}
th,td{text-align:right;padding:5px 10px;border-bottom:1px solid var(--line);white-space:nowrap;
font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:600}
</style></head><body><main>
)";

}  // namespace

std::vector<std::vector<std::string>> ReportTable(const ReportPage& page) {
  const DimensionReport& report = *page.report;
  const std::vector<size_t> keeps = KeepsToShow(report);
  std::vector<std::vector<std::string>> table = {
      {"dims", absl::StrCat("recall@", report.k), "95 %", "overlap@100", "kendall"}};
  for (const size_t keep : keeps) table[0].push_back(absl::StrCat("in ", report.keeps[keep]));
  table[0].insert(table[0].end(), {"energy", "norm", "bytes/row", "scan ns/row"});
  if (!page.scan_ms.empty()) table[0].push_back("search ms");
  for (size_t i = 0; i < report.prefixes.size(); ++i) {
    const PrefixQuality& prefix = report.prefixes[i];
    std::vector<std::string> row = {
        absl::StrCat(prefix.dims), absl::StrFormat("%.3f", prefix.recall),
        absl::StrFormat("%.3f-%.3f", prefix.interval.low, prefix.interval.high),
        absl::StrFormat("%.3f", prefix.overlap), absl::StrFormat("%.3f", prefix.kendall)};
    for (const size_t keep : keeps) {
      row.push_back(absl::StrFormat("%.3f (%.3f)", prefix.shortlist[keep], prefix.control[keep]));
    }
    row.push_back(absl::StrFormat("%.3f", prefix.energy));
    row.push_back(absl::StrFormat("%.3f", prefix.norm_mean));
    row.push_back(absl::StrCat(page.bytes_per_row[i]));
    row.push_back(absl::StrFormat("%.1f", prefix.scan_ns_per_row));
    if (!page.scan_ms.empty()) row.push_back(absl::StrFormat("%.3f", page.scan_ms[i]));
    table.push_back(std::move(row));
  }
  return table;
}

std::vector<std::pair<std::string, std::string>> ReportPlots(const ReportPage& page) {
  std::vector<std::pair<std::string, std::string>> plots;
  if (page.report.has_value()) {
    plots.emplace_back("quality.svg", QualityPlot(*page.report));
    plots.emplace_back("shortlist.svg", ShortlistPlot(*page.report));
    plots.emplace_back("energy.svg", EnergyPlot(*page.report));
    plots.emplace_back("time.svg", TimePlot(page));
  }
  if (page.grid.has_value()) {
    plots.emplace_back("layers.svg", ToSvg(QualityMap(*page.grid)));
    plots.emplace_back("layers_crossed.svg", ToSvg(CrossMap(*page.grid)));
  }
  return plots;
}

std::string ReportHtml(const ReportPage& page) {
  std::string html = kHead;
  absl::StrAppend(&html, "<h1>Dimension report</h1>\n<p class=\"soft\">", EscapeXml(page.source));
  if (page.report.has_value()) {
    absl::StrAppend(&html, " · ", page.report->rows, " vectors and ", page.report->queries,
                    " queries compared");
  }
  html += "</p>\n";
  if (page.report.has_value()) {
    const DimensionReport& report = *page.report;
    const bool good = report.verdict != tune::Verdict::kNotUseful;
    absl::StrAppend(&html, "<section><p class=\"verdict ", good ? "good" : "bad", "\">",
                    VerdictText(report.verdict), "</p>\n<ul>\n");
    for (const std::string& advice : tune::Advice(report)) {
      absl::StrAppend(&html, "<li>", EscapeXml(advice), "</li>\n");
    }
    html += "</ul></section>\n";
  }
  html += "<div class=\"plots\">\n";
  for (const auto& [name, svg] : ReportPlots(page)) {
    absl::StrAppend(&html, "<section>", svg, "</section>\n");
  }
  html += "</div>\n";
  if (page.report.has_value()) {
    absl::StrAppend(&html, "<section style=\"margin-top:18px\">", HtmlTable(ReportTable(page)),
                    "<p class=\"soft\">“in K”: share of the true neighbours in a shortlist "
                    "of K by this prefix; in brackets the same for randomly chosen dimensions."
                    "</p></section>\n");
  }
  return html + "</main></body></html>\n";
}

}  // namespace mrl::cli
