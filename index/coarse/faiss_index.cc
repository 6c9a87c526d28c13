// Kind `faiss`: building, the side file, and searching.
#include "index/coarse/faiss_index.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/coarse.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/faiss_library.h"
#include "index/coarse/faiss_rows.h"
#include "index/coarse/gpu/device_set.h"
#include "index/coarse/level_scorer.h"
#include "index/coarse/side_file.h"

namespace mrl::coarse {
namespace {

// Side file: `about` holds u64 dims, u64 rows and the factory string; `index` holds FAISS's bytes.
constexpr absl::string_view kAboutSection = "about";
constexpr absl::string_view kIndexSection = "index";
constexpr size_t kFactoryBytesMax = 256;
constexpr size_t kAddRows = 16384;
constexpr uint64_t kTrainBytesMax = uint64_t{256} << 20;

// A FaissLibrary that its own threads train and fill.
struct OnThreads {
  absl::Status Train(absl::Span<const float> vectors) { return library.Train(vectors, threads); }
  absl::Status Add(absl::Span<const float> vectors) { return library.Add(vectors, threads); }

  FaissLibrary& library;
  uint32_t threads;
};

// `index` is a FaissLibrary on threads, or a copy of one on a device.
template <typename Index>
absl::Status TrainAndAdd(const store::Segment& segment, size_t level, bool needs_training,
                         const std::function<bool()>& stopped, Index& index) {
  const uint64_t rows = segment.rows();
  if (needs_training) {
    const uint64_t row_bytes = segment.schema().ladder[level] * sizeof(float);
    const uint64_t wanted = std::min(rows, std::max<uint64_t>(1, kTrainBytesMax / row_bytes));
    const uint64_t stride = wanted == 0 ? 1 : rows / wanted;
    MRL_ASSIGN_OR_RETURN(const std::vector<float> vectors,
                         FaissRows(segment, level, 0, stride, wanted));
    MRL_RETURN_IF_ERROR(index.Train(vectors));
  }
  for (uint64_t first = 0; first < rows; first += kAddRows) {
    if (IsStopped(stopped)) return absl::CancelledError("faiss: the build was stopped");
    const uint64_t count = std::min<uint64_t>(kAddRows, rows - first);
    MRL_ASSIGN_OR_RETURN(const std::vector<float> vectors,
                         FaissRows(segment, level, first, 1, count));
    MRL_RETURN_IF_ERROR(index.Add(vectors));
  }
  return absl::OkStatus();
}

// A copy of `empty` that a device trained and filled.
absl::StatusOr<std::unique_ptr<FaissLibrary>> FillOnDevice(const store::Segment& segment,
                                                           size_t level,
                                                           const FaissOptions& options,
                                                           const FaissLibrary& empty) {
  // Vectors and ids; what is quantised takes less.
  const uint64_t row_bytes = empty.dims() * sizeof(float) + sizeof(int64_t);
  MRL_ASSIGN_OR_RETURN(const auto runner, options.gpu->Build(empty, segment.rows() * row_bytes));
  MRL_RETURN_IF_ERROR(
      TrainAndAdd(segment, level, empty.needs_training(), options.stopped, *runner));
  return runner->CopyToHost();
}

// Trains and fills `library`, or puts one in its place that a device filled.
absl::Status Fill(const store::Segment& segment, size_t level, const FaissOptions& options,
                  std::unique_ptr<FaissLibrary>& library) {
  if (options.gpu != nullptr) {
    auto filled = FillOnDevice(segment, level, options, *library);
    if (filled.ok()) {
      library = *std::move(filled);
      return absl::OkStatus();
    }
    // What has no GPU form is built by the CPU, whoever requires devices.
    const bool required = options.gpu->options().mode == gpu::GpuMode::kRequire &&
                          !absl::IsUnimplemented(filled.status());
    if (required || absl::IsCancelled(filled.status())) return filled.status();
  }
  OnThreads on_threads = {*library, options.threads};
  return TrainAndAdd(segment, level, library->needs_training(), options.stopped, on_threads);
}

struct About {
  uint64_t dims = 0;
  uint64_t rows = 0;
  std::string factory;
};

std::vector<uint8_t> Encode(const About& about) {
  std::vector<uint8_t> bytes(2 * sizeof(uint64_t) + about.factory.size());
  std::memcpy(bytes.data(), &about.dims, sizeof(uint64_t));
  std::memcpy(bytes.data() + sizeof(uint64_t), &about.rows, sizeof(uint64_t));
  std::memcpy(bytes.data() + 2 * sizeof(uint64_t), about.factory.data(), about.factory.size());
  return bytes;
}

absl::StatusOr<About> LoadAbout(const format::SectionFileReader& reader, const std::string& path) {
  const uint64_t size = reader.size(kAboutSection);
  if (size <= 2 * sizeof(uint64_t) || size > 2 * sizeof(uint64_t) + kFactoryBytesMax) {
    return absl::DataLossError(
        absl::StrCat(path, ": section `", kAboutSection, "` has ", size, " bytes"));
  }
  std::vector<std::byte> bytes(size);
  MRL_RETURN_IF_ERROR(reader.Load(kAboutSection, absl::MakeSpan(bytes)));
  About about;
  std::memcpy(&about.dims, bytes.data(), sizeof(uint64_t));
  std::memcpy(&about.rows, bytes.data() + sizeof(uint64_t), sizeof(uint64_t));
  about.factory.assign(reinterpret_cast<const char*>(bytes.data()) + 2 * sizeof(uint64_t),
                       size - 2 * sizeof(uint64_t));
  return about;
}

// What FAISS read must be what the segment and the file's own description say.
absl::Status CrossCheck(const std::string& path, const About& about, const FaissLibrary& library,
                        const store::Segment& segment) {
  const Schema& schema = segment.schema();
  if (schema.LevelOf(library.dims()) < 0 || library.dims() != about.dims) {
    return absl::DataLossError(absl::StrCat(path, ": the index has ", library.dims(),
                                            " dims, its file says ", about.dims));
  }
  if (library.rows() != segment.rows() || about.rows != segment.rows()) {
    return absl::DataLossError(absl::StrCat(path, ": the index has ", library.rows(),
                                            " rows, the segment has ", segment.rows()));
  }
  if (!library.Serves(schema.metric)) {
    return absl::DataLossError(
        absl::StrCat(path, ": the index has another metric than ", ToString(schema.metric)));
  }
  return absl::OkStatus();
}

}  // namespace

std::string FaissIndex::Describe() const {
  return absl::StrCat("faiss ", factory_, " on ", dims(), " dims");
}

Effort FaissIndex::effort() const {
  const std::vector<std::string> names = library_->param_names();
  return names.empty() ? Effort() : Effort{.param = names.front()};
}

std::vector<float> FaissIndex::QueryOf(const Request& request) const {
  std::vector<float> query(request.query, request.query + request.dims);
  if (segment_->schema().metric == Metric::kCosine) Normalise(query.data(), query.size());
  return query;
}

Result FaissIndex::ResultOf(FaissLibrary::Found found, size_t keep) const {
  CutByKeyThenRow(found.rows, keep);
  Result result;
  result.rows_scanned = found.rows_scanned;
  result.bytes_touched = found.rows_scanned * (memory_bytes() / std::max(1u, segment_->rows()));
  for (const KeyedRow& row : found.rows) {
    result.candidates.push_back({library_->ScoreOf(segment_->schema().metric, row.key), row.row});
  }
  return result;
}

absl::StatusOr<Result> FaissIndex::Search(const Request& request) const {
  MRL_RETURN_IF_ERROR(Check(request));
  static const Params kNone;
  MRL_ASSIGN_OR_RETURN(FaissLibrary::Found found,
                       library_->Search(QueryOf(request).data(), request.keep, request.allowed,
                                        request.params == nullptr ? kNone : *request.params));
  if (IsStopped(request.stopped)) return absl::CancelledError("the search was stopped");
  return ResultOf(std::move(found), request.keep);
}

absl::Status FaissIndex::Estimate(const float*, Code code, absl::Span<const uint32_t>,
                                  float*) const {
  return absl::FailedPreconditionError(
      absl::StrCat("faiss: the code ", code.dims, "b", code.bits, " is not stored here"));
}

absl::Status FaissIndex::Check(const Request& request) const {
  if (request.dims != dims()) {
    return absl::InvalidArgumentError(
        absl::StrCat("faiss: asked for ", request.dims, " dims, this index searches ", dims()));
  }
  if (request.bits != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("faiss: asked for ", request.bits, " bits, it takes dims without bits"));
  }
  if (request.keep == 0) return absl::InvalidArgumentError("faiss: keep is 0, the least is 1");
  if (IsStopped(request.stopped)) return absl::CancelledError("the search was stopped");
  return absl::OkStatus();
}

absl::Status BuildFaiss(FileSystem& files, const std::string& path, const store::Segment& segment,
                        const FaissOptions& options) {
  const Schema& schema = segment.schema();
  const int level = schema.LevelOf(options.dims);
  if (level < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "faiss: ", options.dims, " dims are not on the ladder ", FormatLadder(schema.ladder)));
  }
  if (options.factory.empty() || options.factory.size() > kFactoryBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("faiss: the factory string has ",
                                                   options.factory.size(), " bytes, it has 1 to ",
                                                   kFactoryBytesMax));
  }
  MRL_ASSIGN_OR_RETURN(auto library,
                       FaissLibrary::Make(options.factory, options.dims, schema.metric));
  MRL_RETURN_IF_ERROR(Fill(segment, static_cast<size_t>(level), options, library));
  MRL_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, library->Serialise());
  const std::vector<uint8_t> about =
      Encode({.dims = options.dims, .rows = segment.rows(), .factory = options.factory});
  MRL_ASSIGN_OR_RETURN(
      auto file, format::SectionFileWriter::Create(
                     files, path,
                     {{.name = std::string(kAboutSection), .bytes_max = about.size()},
                      {.name = std::string(kIndexSection), .bytes_max = format::kUnbounded}}));
  MRL_RETURN_IF_ERROR(file->Append(0, format::AsBytes<uint8_t>(about)));
  MRL_RETURN_IF_ERROR(file->Append(1, format::AsBytes<uint8_t>(bytes)));
  return file->Finish(SideFileHeader(format::FileKind::kFaiss, segment.info().uuid, schema))
      .status();
}

absl::StatusOr<std::unique_ptr<CoarseIndex>> OpenFaiss(
    FileSystem& files, const std::string& path, std::shared_ptr<const store::Segment> segment,
    MemoryAccount& account) {
  MRL_ASSIGN_OR_RETURN(auto reader, OpenSideFile(files, path, format::FileKind::kFaiss, *segment));
  MRL_ASSIGN_OR_RETURN(About about, LoadAbout(*reader, path));
  const uint64_t size = reader->size(kIndexSection);
  MRL_ASSIGN_OR_RETURN(auto memory, account.Reserve(size, path));
  std::unique_ptr<FaissLibrary> library;
  {
    // FAISS copies what it reads: both copies are there for a moment.
    MRL_ASSIGN_OR_RETURN(const auto reading, account.Reserve(size, path));
    std::vector<uint8_t> bytes(size);
    MRL_RETURN_IF_ERROR(
        reader->Load(kIndexSection, {reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}));
    absl::StatusOr<std::unique_ptr<FaissLibrary>> parsed = FaissLibrary::Parse(std::move(bytes));
    if (!parsed.ok()) return Annotate(parsed.status(), path);
    library = *std::move(parsed);
  }
  MRL_RETURN_IF_ERROR(CrossCheck(path, about, *library, *segment));
  return std::make_unique<FaissIndex>(std::move(segment), std::move(about.factory),
                                      std::move(library), std::move(memory));
}

}  // namespace mrl::coarse
