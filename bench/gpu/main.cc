// mrl-gpu-bench: what a device does per second, by batch size, and whether it finds what the CPU
// finds. One JSON object a line. Without a device it says so and ends with 69.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status.h"
#include "bench/gpu/synthetic.h"
#include "index/coarse/gpu/device_set.h"

namespace mrl::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kUnavailable = 69;

struct Args {
  uint32_t rows = 1'000'000;
  std::vector<uint32_t> batches = {1, 64, 1024, 10'000};
  std::vector<std::string> factories = {"Flat", "IVF4096,Flat"};
  std::string folder = "/tmp";
  double seconds = 1;  // of measuring, a line
};

// One way of searching: a first stage and those after it.
struct Line {
  std::string name;
  coarse::LaterStage first;
  std::vector<coarse::LaterStage> later;
  coarse::Params params = {};
};

std::vector<Line> Lines(const Schema& schema) {
  std::vector<Line> lines;
  for (const uint32_t dims : {16U, 64U, 128U}) {
    lines.push_back({absl::StrCat("gpu_scan ", dims, "b8:200"), {dims, 8, 200}, {}});
  }
  lines.push_back({"gpu_scan 128b1:4000", {128, 1, 4000}, {}});
  lines.push_back({"gpu_scan 16:200 (exact)", {16, 0, 200}, {}});
  lines.push_back({absl::StrCat("funnel 16b8:200,32:100,64:50,128:25,", schema.dim, ":10"),
                   {16, 8, 200},
                   {{32, 0, 100}, {64, 0, 50}, {128, 0, 25}, {schema.dim, 0, 10}}});
  lines.push_back({absl::StrCat("funnel 128b1:4000,", schema.dim, ":10"),
                   {128, 1, 4000},
                   {{schema.dim, 0, 10}}});
  return lines;
}

class Bench {
 public:
  // `recall_of`: what `cpu` finds for a line's first stage, by which the device's is judged.
  Bench(const Args& args, const coarse::CoarseIndex& cpu, std::string recall_of,
        const coarse::CoarseIndex& gpu, uint32_t dim)
      : args_(args), cpu_(cpu), recall_of_(std::move(recall_of)), gpu_(gpu), dim_(dim) {
    const uint32_t most = *std::max_element(args.batches.begin(), args.batches.end());
    queries_.resize(size_t{most} * dim);
    for (uint32_t q = 0; q < most; ++q) {
      MakeRow((uint64_t{1} << 40) + q, dim, queries_.data() + size_t{q} * dim);
    }
  }

  absl::Status Run(const Line& line) {
    MRL_ASSIGN_OR_RETURN(const double agreement, Agreement(line));
    for (const uint32_t batch : args_.batches) {
      const std::vector<coarse::Request> requests = Requests(line, batch);
      for (int warm = 0; warm < 3; ++warm) {  // buffers grow, then steps are recorded
        MRL_RETURN_IF_ERROR(Search(requests).status());
      }
      std::vector<double> micros;
      uint64_t bytes = 0;
      double total = 0;
      while (micros.size() < 3 || (total < args_.seconds * 1e6 && micros.size() < 20'000)) {
        const Clock::time_point start = Clock::now();
        MRL_ASSIGN_OR_RETURN(bytes, Search(requests));
        micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
        total += micros.back();
      }
      Print(line, batch, agreement, bytes, micros);
    }
    return absl::OkStatus();
  }

 private:
  std::vector<coarse::Request> Requests(const Line& line, uint32_t count) const {
    std::vector<coarse::Request> requests;
    for (uint32_t q = 0; q < count; ++q) {
      requests.push_back({.query = queries_.data() + size_t{q} * dim_,
                          .dims = line.first.dims,
                          .bits = line.first.bits,
                          .keep = line.first.keep,
                          .params = line.params.empty() ? nullptr : &line.params,
                          .later = line.later});
    }
    return requests;
  }
  // Bytes that one query touched.
  absl::StatusOr<uint64_t> Search(const std::vector<coarse::Request>& requests) const {
    uint64_t bytes = 0;
    for (const auto& result : gpu_.SearchTile(requests)) {
      MRL_RETURN_IF_ERROR(result.status());
      bytes = result->bytes_touched;
    }
    return bytes;
  }
  // Share of what the CPU finds that the first stage finds too: of 16 queries, or as many as the
  // CPU answers in a few seconds.
  absl::StatusOr<double> Agreement(const Line& line) const {
    constexpr auto kPatience = std::chrono::seconds(2);
    const Clock::time_point start = Clock::now();
    size_t same = 0;
    size_t all = 0;
    const Line first = {line.name, line.first, {}, line.params};
    for (coarse::Request& request : Requests(first, 16)) {
      if (all > 0 && Clock::now() - start > kPatience) break;
      MRL_ASSIGN_OR_RETURN(const auto gpu, gpu_.Search(request));
      request.params = nullptr;  // scans take none
      MRL_ASSIGN_OR_RETURN(const auto cpu, cpu_.Search(request));
      std::vector<uint32_t> rows;
      for (const auto& candidate : cpu.candidates) rows.push_back(candidate.row);
      std::sort(rows.begin(), rows.end());
      for (const auto& candidate : gpu.candidates) {
        same += std::binary_search(rows.begin(), rows.end(), candidate.row) ? 1 : 0;
      }
      all += rows.size();
    }
    return static_cast<double>(same) / static_cast<double>(all);
  }
  void Print(const Line& line, uint32_t batch, double agreement, uint64_t bytes,
             std::vector<double>& micros) const {
    std::sort(micros.begin(), micros.end());
    const double median = micros[micros.size() / 2];
    const nlohmann::json out = {{"engine", "mrl"},
                                {"what", line.name},
                                {"rows", args_.rows},
                                {"batch", batch},
                                {absl::StrCat("recall_of_", recall_of_), agreement},
                                {"queries_per_s", batch / median * 1e6},
                                {"p50_us", median},
                                {"p99_us", micros[micros.size() * 99 / 100]},
                                {"runs", micros.size()},
                                {"code_bytes", bytes}};
    std::printf("%s\n", out.dump().c_str());
    std::fflush(stdout);
  }

  const Args& args_;
  const coarse::CoarseIndex& cpu_;
  const std::string recall_of_;
  const coarse::CoarseIndex& gpu_;
  const uint32_t dim_;
  std::vector<float> queries_;
};

// Bytes read and written per second by a copy on the device: the most that a scan could reach.
absl::Status PrintCard(coarse::gpu::Device& device) {
  constexpr int kCopies = 10;
  const uint64_t bytes = std::min(uint64_t{1} << 30, device.account().limit_bytes() / 4);
  MRL_ASSIGN_OR_RETURN(const coarse::gpu::Memory from, device.Allocate(bytes, "a copy"));
  MRL_ASSIGN_OR_RETURN(const coarse::gpu::Memory to, device.Allocate(bytes, "a copy"));
  MRL_ASSIGN_OR_RETURN(const auto stream, device.MakeStream());
  stream->Zero(from.As<void>(), bytes);
  stream->CopyWithin(to.As<void>(), from.As<void>(), bytes);
  MRL_RETURN_IF_ERROR(stream->Wait());
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < kCopies; ++i) stream->CopyWithin(to.As<void>(), from.As<void>(), bytes);
  MRL_RETURN_IF_ERROR(stream->Wait());
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double per_s = 2.0 * kCopies * static_cast<double>(bytes) / seconds;
  const nlohmann::json out = {{"engine", "card"}, {"what", "copy"}, {"bytes_per_s", per_s}};
  std::printf("%s\n", out.dump().c_str());
  std::fflush(stdout);
  return absl::OkStatus();
}

// FAISS's GPU classes on a prefix, built on the device, saved and opened as a collection does.
// `exact`: searches stored precision.
absl::Status RunFaiss(const Args& args, const std::string& factory, uint32_t dims,
                      const std::shared_ptr<const store::Segment>& segment,
                      const coarse::CoarseIndex& exact, coarse::gpu::DeviceSet& devices,
                      MemoryAccount& account) {
  FileSystem& files = FileSystem::Posix();
  const std::string path = absl::StrCat(args.folder, "/mrl-gpu-bench.faiss.idx");
  MRL_RETURN_IF_ERROR(coarse::BuildFaiss(files, path, *segment,
                                         {.factory = factory, .dims = dims, .gpu = &devices}));
  auto opened = coarse::OpenFaiss(files, path, segment, account);
  files.Remove(path).IgnoreError();
  MRL_RETURN_IF_ERROR(opened.status());
  const std::shared_ptr<const coarse::CoarseIndex> cpu = std::move(*opened);
  MRL_ASSIGN_OR_RETURN(const auto gpu, devices.MakeFaiss(cpu));
  Bench bench(args, exact, "exact", *gpu, segment->schema().dim);
  const std::string name = absl::StrCat("faiss_gpu ", factory, " on ", dims, ":200");
  if (cpu->effort().param.empty()) return bench.Run({name, {dims, 0, 200}, {}});
  for (const int nprobe : {16, 64}) {
    MRL_RETURN_IF_ERROR(bench.Run({absl::StrCat(name, " nprobe ", nprobe),
                                   {dims, 0, 200},
                                   {},
                                   {{"nprobe", static_cast<double>(nprobe)}}}));
  }
  return absl::OkStatus();
}

absl::Status RunAll(const Args& args) {
  MRL_ASSIGN_OR_RETURN(const auto devices,
                       coarse::gpu::DeviceSet::Open({.mode = coarse::gpu::GpuMode::kRequire}));
  std::fprintf(stderr, "%s\n", devices->report().c_str());
  MRL_RETURN_IF_ERROR(PrintCard(devices->device(0)));
  Schema schema;
  schema.dim = 512;
  schema.ladder = {16, 32, 64, 128, 256, 512};
  schema.storage = StorageType::kF16;
  schema.codes = {{16, 8}, {64, 8}, {128, 8}, {512, 1}};
  MRL_RETURN_IF_ERROR(schema.Validate());
  const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  MemoryAccount account(MemoryAccount::DefaultLimitBytes());
  MRL_ASSIGN_OR_RETURN(const auto segment, Synthetic::Make(schema, args.rows, threads));
  MRL_ASSIGN_OR_RETURN(const auto cpu, MakeCodes(segment, threads, account));
  MRL_ASSIGN_OR_RETURN(const auto gpu, devices->MakeScan(cpu));
  std::fprintf(stderr, "%s\n", gpu->Describe().c_str());
  Bench bench(args, *cpu, "scan", *gpu, schema.dim);
  for (const Line& line : Lines(schema)) MRL_RETURN_IF_ERROR(bench.Run(line));
  for (const std::string& factory : args.factories) {
    for (const uint32_t dims : {16U, 64U, 128U}) {
      const absl::Status ran = RunFaiss(args, factory, dims, segment, *cpu, *devices, account);
      if (!ran.ok()) {
        std::fprintf(stderr, "left out: faiss_gpu %s: %s\n", factory.c_str(),
                     std::string(ran.message()).c_str());
      }
    }
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Measures the kind gpu_scan on made rows, a JSON object a line.", "mrl-gpu-bench");
  Args args;
  app.add_option("--rows", args.rows, "Rows")->capture_default_str();
  app.add_option("--batch", args.batches, "Queries asked at once; may be repeated");
  app.add_option("--faiss", args.factories, "FAISS indexes, Flat or IVF; may be repeated")
      ->capture_default_str();
  app.add_option("--folder", args.folder, "For a FAISS index on its way")->capture_default_str();
  app.add_option("--seconds", args.seconds, "Of measuring, a line")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = RunAll(args);
  if (status.ok()) return 0;
  std::fprintf(stderr, "mrl-gpu-bench: %s\n", std::string(status.message()).c_str());
  return absl::IsFailedPrecondition(status) ? kUnavailable : 1;
}

}  // namespace
}  // namespace mrl::bench

int main(int argc, char** argv) { return mrl::bench::Main(argc, argv); }
