// mrl-scan-bench: what a scan of the first stage takes, beside a loop that only reads what it
// scans. One thread and its CPU time; rounds interleave all ways. One JSON object per code and way;
// `scan_bench.py` makes a table of them.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "bench/scan/made_codes.h"
#include "index/kernels/kernels.h"

namespace mrl::bench {
namespace {

struct Args {
  uint32_t rows = 10'000'000;
  std::string codes = "16b8,128b1";
  std::vector<uint32_t> tiles = {1, 8, 16};
  uint32_t keep = 200;
  uint32_t rounds = 9;
};

// Milliseconds this thread has run for: as the wall clock's where the thread never waits, and not
// changed by who else wants the core.
double Millis() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

class Bench {
 public:
  Bench(const Args& args, Code code, const MadeCodes& codes)
      : args_(args), code_(code), codes_(codes), queries_(kernels::kTileMax) {}

  absl::Status Run() {
    std::vector<double> read;
    std::vector<double> planes;
    std::vector<std::vector<double>> scans(args_.tiles.size());
    for (uint32_t round = 0; round <= args_.rounds; ++round) {
      NewQueries();
      const double read_ms = Read();
      if (round > 0) read.push_back(read_ms);  // round 0 warms up
      for (size_t i = 0; i < args_.tiles.size(); ++i) {
        MRL_ASSIGN_OR_RETURN(const double scan_ms, Scan(args_.tiles[i]));
        if (round > 0) scans[i].push_back(scan_ms);
      }
      if (!code_.nests()) continue;
      const double planes_ms = ScoreByPlanes();
      if (round > 0) planes.push_back(planes_ms);
    }
    Print("read", 0, read);
    if (!planes.empty()) Print("planes", 1, planes);
    for (size_t i = 0; i < args_.tiles.size(); ++i) Print("scan", args_.tiles[i], scans[i]);
    return absl::OkStatus();
  }

 private:
  void NewQueries() {
    for (std::vector<float>& query : queries_) {
      query.resize(code_.dims);
      for (float& value : query) value = random_.Normal();
    }
  }

  double Read() {
    const double start = Millis();
    for (const auto piece : codes_.Scanned()) ignored_ = ignored_ + ReadAll(piece);
    return Millis() - start;
  }

  double ScoreByPlanes() {
    const double start = Millis();
    ignored_ = ignored_ + codes_.ScoreByPlanes(queries_.front().data());
    return Millis() - start;
  }

  // Milliseconds a query.
  absl::StatusOr<double> Scan(uint32_t tile) {
    std::vector<const float*> queries;
    for (uint32_t i = 0; i < tile; ++i) queries.push_back(queries_[i].data());
    const double start = Millis();
    MRL_ASSIGN_OR_RETURN(const size_t found, codes_.Search(queries, args_.keep));
    const double millis = Millis() - start;
    const size_t expected = size_t{tile} * std::min(args_.keep, args_.rows);
    if (found != expected) {
      return absl::InternalError(
          absl::StrCat(tile, " queries found ", found, " rows, ", expected, " were expected"));
    }
    return millis / tile;
  }

  void Print(const char* way, uint32_t tile, const std::vector<double>& millis) const {
    size_t bytes = 0;
    for (const absl::Span<const std::byte> piece : codes_.Scanned()) bytes += piece.size();
    const nlohmann::json line = {{"code", absl::StrCat(code_.dims, "b", code_.bits)},
                                 {"way", way},
                                 {"tile", tile},
                                 {"rows", args_.rows},
                                 {"keep", args_.keep},
                                 {"bytes", bytes},
                                 {"kernels", kernels::Active().name},
                                 {"millis", millis}};
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  }

  const Args& args_;
  const Code code_;
  const MadeCodes& codes_;
  Random random_{3};
  std::vector<std::vector<float>> queries_;
  volatile uint64_t ignored_ = 0;  // what was read, so that it is read; and scores
};

absl::Status RunAll(const Args& args) {
  MRL_ASSIGN_OR_RETURN(const std::vector<Code> codes, ParseCodes(args.codes));
  for (const Code& code : codes) {
    MRL_ASSIGN_OR_RETURN(const auto made, MadeCodes::Make(code, args.rows));
    MRL_RETURN_IF_ERROR(Bench(args, code, *made).Run());
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Scans of made-up codes beside reading the same bytes, one thread.",
               "mrl-scan-bench");
  Args args;
  app.add_option("--rows", args.rows)->check(CLI::Range(1, 1'000'000'000))->capture_default_str();
  app.add_option("--codes", args.codes, "Of 1, 2, 4 or 8 bits")->capture_default_str();
  app.add_option("--tiles", args.tiles, "Queries that share a scan")
      ->delimiter(',')
      ->check(CLI::Range(size_t{1}, kernels::kTileMax))
      ->capture_default_str();
  app.add_option("--keep", args.keep, "Rows selected per query")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--rounds", args.rounds)->check(CLI::Range(1, 10'000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status ran = RunAll(args);
  if (ran.ok()) return 0;
  std::fprintf(stderr, "mrl-scan-bench: %s\n", std::string(ran.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace mrl::bench

int main(int argc, char** argv) { return mrl::bench::Main(argc, argv); }
