#include "index/io/embeddings.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "index/io/npy.h"
#include "index/kernels/kernels.h"

namespace mrl::io {
namespace {

// Rows of equal stride: a skipped prefix of bytes, then `dims` elements.
struct RowLayout {
  uint64_t rows = 0;
  uint32_t dims = 0;
  uint64_t data_offset = 0;
  uint64_t row_prefix_bytes = 0;  // fvecs: the row's own dimension, before floats
  uint64_t element_bytes = 4;

  uint64_t row_bytes() const { return row_prefix_bytes + dims * element_bytes; }
};

class RowReader final : public EmbeddingReader {
 public:
  RowReader(std::unique_ptr<ReadableFile> file, std::string name, std::string format,
            const RowLayout& layout)
      : file_(std::move(file)),
        name_(std::move(name)),
        format_(std::move(format)),
        layout_(layout) {}

  uint64_t rows() const override { return layout_.rows; }
  uint32_t dims() const override { return layout_.dims; }
  std::string format() const override { return format_; }

  absl::Status Read(uint64_t begin, absl::Span<float> out) const override {
    const uint64_t count = out.size() / layout_.dims;
    CHECK(count * layout_.dims == out.size() && begin + count <= layout_.rows);
    const uint64_t offset = layout_.data_offset + begin * layout_.row_bytes();
    if (layout_.row_prefix_bytes > 0) return ReadPrefixed(begin, offset, out);
    if (layout_.element_bytes == sizeof(float)) {
      return file_->ReadAt(offset,
                           {reinterpret_cast<std::byte*>(out.data()), sizeof(float) * out.size()});
    }
    return ReadHalves(offset, out);
  }

 private:
  // By pieces that stay in the cache between being read and being widened.
  absl::Status ReadHalves(uint64_t offset, absl::Span<float> out) const {
    constexpr size_t kPiece = 128 << 10;
    std::vector<uint16_t> halves(std::min(kPiece, out.size()));
    for (; !out.empty(); out.remove_prefix(std::min(kPiece, out.size()))) {
      const size_t count = std::min(kPiece, out.size());
      const size_t bytes = count * sizeof(uint16_t);
      MRL_RETURN_IF_ERROR(
          file_->ReadAt(offset, {reinterpret_cast<std::byte*>(halves.data()), bytes}));
      kernels::Active().f16_to_f32(halves.data(), count, out.data());
      offset += bytes;
    }
    return absl::OkStatus();
  }
  absl::Status ReadPrefixed(uint64_t begin, uint64_t offset, absl::Span<float> out) const {
    std::vector<std::byte> bytes(out.size() / layout_.dims * layout_.row_bytes());
    MRL_RETURN_IF_ERROR(file_->ReadAt(offset, absl::MakeSpan(bytes)));
    for (uint64_t row = 0; row < out.size() / layout_.dims; ++row) {
      const std::byte* from = bytes.data() + row * layout_.row_bytes();
      MRL_RETURN_IF_ERROR(CheckRowPrefix(from, begin + row));
      std::memcpy(out.data() + row * layout_.dims, from + layout_.row_prefix_bytes,
                  layout_.dims * sizeof(float));
    }
    return absl::OkStatus();
  }
  absl::Status CheckRowPrefix(const std::byte* from, uint64_t row) const {
    int32_t dims = 0;
    std::memcpy(&dims, from, sizeof(dims));
    if (dims == static_cast<int64_t>(layout_.dims)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": row ", row, " has ", dims, " dimensions; row 0 has ", layout_.dims));
  }

  const std::unique_ptr<ReadableFile> file_;
  const std::string name_;
  const std::string format_;
  const RowLayout layout_;
};

absl::Status CheckDims(const std::string& name, int64_t dims) {
  constexpr int64_t kDimsMax = 65536;
  if (dims >= 1 && dims <= kDimsMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " has ", dims, " dimensions; 1 to ", kDimsMax, " are allowed"));
}

absl::StatusOr<RowLayout> NpyLayout(const ReadableFile& file, const std::string& name,
                                    std::string* format) {
  MRL_ASSIGN_OR_RETURN(const NpyHeader header, ReadNpyHeader(file, name, {"<f4", "<f2"}));
  if (header.shape.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has ", header.shape.size(), " axes; 2 are needed: rows x dimensions"));
  }
  MRL_RETURN_IF_ERROR(CheckDims(name, static_cast<int64_t>(std::min<uint64_t>(
                                          header.shape[1], std::numeric_limits<int64_t>::max()))));
  *format = header.element_bytes == 2 ? "npy f16" : "npy f32";
  return RowLayout{.rows = header.shape[0],
                   .dims = static_cast<uint32_t>(header.shape[1]),
                   .data_offset = header.data_offset,
                   .element_bytes = header.element_bytes};
}

absl::StatusOr<RowLayout> FvecsLayout(const ReadableFile& file, const std::string& name) {
  int32_t dims = 0;
  if (file.size() < sizeof(dims))
    return absl::InvalidArgumentError(absl::StrCat(name, " is empty"));
  MRL_RETURN_IF_ERROR(
      file.ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(&dims), sizeof(dims))));
  MRL_RETURN_IF_ERROR(CheckDims(name, dims));
  RowLayout layout = {.dims = static_cast<uint32_t>(dims), .row_prefix_bytes = sizeof(dims)};
  layout.rows = file.size() / layout.row_bytes();
  if (layout.rows * layout.row_bytes() != file.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " has ", file.size(), " bytes, not a multiple of a row's ", layout.row_bytes()));
  }
  return layout;
}

absl::StatusOr<RowLayout> FbinLayout(const ReadableFile& file, const std::string& name) {
  uint32_t header[2] = {0, 0};
  if (file.size() < sizeof(header)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": the fbin header is cut short"));
  }
  MRL_RETURN_IF_ERROR(
      file.ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(header), sizeof(header))));
  MRL_RETURN_IF_ERROR(CheckDims(name, header[1]));
  const RowLayout layout = {.rows = header[0], .dims = header[1], .data_offset = sizeof(header)};
  if (layout.rows * layout.row_bytes() != file.size() - sizeof(header)) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": the header promises ", layout.rows, " rows of ", layout.dims, " dimensions, ",
        layout.rows * layout.row_bytes(), " bytes; the file has ", file.size() - sizeof(header)));
  }
  return layout;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EmbeddingReader>> OpenEmbeddings(std::unique_ptr<ReadableFile> file,
                                                                const std::string& name) {
  std::string format;
  absl::StatusOr<RowLayout> layout = absl::InvalidArgumentError(
      absl::StrCat(name, ": the suffix is unknown; .npy, .fvecs and .fbin are read"));
  if (absl::EndsWith(name, ".npy")) layout = NpyLayout(*file, name, &format);
  if (absl::EndsWith(name, ".fvecs")) layout = FvecsLayout(*file, name);
  if (absl::EndsWith(name, ".fbin")) layout = FbinLayout(*file, name);
  MRL_RETURN_IF_ERROR(layout.status());
  if (format.empty()) format = absl::EndsWith(name, ".fbin") ? "fbin f32" : "fvecs f32";
  return std::make_unique<RowReader>(std::move(file), name, format, *layout);
}

absl::StatusOr<std::unique_ptr<EmbeddingReader>> OpenEmbeddings(FileSystem& files,
                                                                const std::string& path) {
  MRL_ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, files.Open(path));
  return OpenEmbeddings(std::move(file), path);
}

}  // namespace mrl::io
