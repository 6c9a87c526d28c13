// The container of segments and side files: named sections, a checksum per page, one table.
// Bytes on disk: docs/formats/segment.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/file.h"

namespace mrl::format {

// Stored on disk as these numbers: frozen.
enum class FileKind : uint32_t {
  kSegment = 1,
  kScan = 2,
  kFaiss = 3,
  kIvfScan = 4,
  kFilter = 5,
  kGraph = 6
};

inline constexpr uint32_t kPageBytes = 1 << 20;
inline constexpr uint32_t kSmallPageBytes = 16 << 10;  // for what is read a few bytes at a time

struct FileHeader {
  FileKind kind = FileKind::kSegment;
  std::string uuid;        // 32 hexadecimal digits
  std::string bound_uuid;  // of the segment a side file belongs to; its own uuid for a segment
  uint64_t schema_hash = 0;
};

// 16 random bytes in 32 hexadecimal digits.
std::string NewUuid();

struct SectionSpec {
  static constexpr size_t kNameMax = 23;
  std::string name;
  uint64_t bytes_max = 0;  // space laid out; kUnbounded for the last sections only
  uint32_t page_bytes = kPageBytes;
};
inline constexpr uint64_t kUnbounded = ~uint64_t{0};

// Bytes that are to be appended to a section, made before: by several threads, or while another
// piece is written.
struct Piece {
  size_t section = 0;
  std::vector<std::byte> bytes;
};
using Pieces = std::vector<Piece>;

// Streams sections into `path`: each is appended to independently, holding one page of it in
// memory. The file appears under its name in Finish only; without Finish nothing is left. Not
// thread-safe.
class SectionFileWriter {
 public:
  static absl::StatusOr<std::unique_ptr<SectionFileWriter>> Create(
      FileSystem& files, const std::string& path, const std::vector<SectionSpec>& sections);
  ~SectionFileWriter();

  // `section` is an index into the specs. RESOURCE_EXHAUSTED when it would outgrow its space.
  absl::Status Append(size_t section, absl::Span<const std::byte> data);
  absl::Status Append(const Pieces& pieces);
  // Lets the disk begin with what was appended, so that Finish has less to wait for.
  void StartSync() { file_->StartSync(); }
  // Bytes appended to a section so far.
  uint64_t size(size_t section) const;
  // Writes table and header, syncs, renames, syncs the folder. Returns the file's size.
  absl::StatusOr<uint64_t> Finish(const FileHeader& header);

 private:
  struct Section;
  SectionFileWriter(FileSystem& files, std::string path);
  absl::Status Place(size_t index);
  absl::Status FlushPage(Section& section);
  // Whole pages, but for the last one of the section.
  absl::Status WritePages(Section& section, absl::Span<const std::byte> data);
  std::vector<std::byte> Table() const;

  FileSystem& files_;
  const std::string path_;
  const std::string temporary_path_;
  std::unique_ptr<WritableFile> file_;
  std::vector<Section> sections_;
  uint64_t bounded_end_ = 0;
};

// `data` as the bytes Append wants.
template <typename T>
absl::Span<const std::byte> AsBytes(absl::Span<const T> data) {
  return {reinterpret_cast<const std::byte*>(data.data()), data.size() * sizeof(T)};
}

// Thread-safe: constant after Open. Every error of a damaged file is DATA_LOSS and names the file
// and the part.
class SectionFileReader {
 public:
  // Checks the header, the table, and every size against the file's before anything is allocated.
  static absl::StatusOr<std::unique_ptr<SectionFileReader>> Open(FileSystem& files,
                                                                 const std::string& path,
                                                                 FileKind kind);
  // The same over a file that is already open; `name` stands in messages.
  static absl::StatusOr<std::unique_ptr<SectionFileReader>> Open(std::unique_ptr<ReadableFile> file,
                                                                 const std::string& name,
                                                                 FileKind kind);
  ~SectionFileReader();

  const FileHeader& header() const { return header_; }
  uint64_t file_bytes() const { return file_->size(); }
  bool Has(absl::string_view section) const;
  // 0 for a section that is not there.
  uint64_t size(absl::string_view section) const;
  // DATA_LOSS unless the section is there with exactly `bytes`.
  absl::Status ExpectSize(absl::string_view section, uint64_t bytes) const;
  // Reads the whole section into `out` (its exact size) and checks every page.
  absl::Status Load(absl::string_view section, absl::Span<std::byte> out) const;
  // Reads [offset, offset + out.size()) of a section; checks the pages it touches.
  absl::Status Read(absl::string_view section, uint64_t offset, absl::Span<std::byte> out) const;
  // Checks every page of every section. `progress(section, bytes_checked)` may be empty.
  absl::Status VerifyAll(const std::function<void(absl::string_view, uint64_t)>& progress) const;

 private:
  friend class MappedSection;
  struct Section {
    std::string name;
    uint64_t offset = 0;
    uint64_t bytes = 0;
    uint32_t page_bytes = 0;
    std::vector<uint64_t> checksums;
  };
  SectionFileReader(std::unique_ptr<ReadableFile> file, std::string name);
  absl::Status ReadHeader(FileKind kind, uint64_t* table_offset, uint64_t* table_bytes,
                          uint64_t* table_checksum);
  absl::Status ReadTable(uint64_t offset, uint64_t bytes, uint64_t checksum);
  absl::Status ParseTable(absl::Span<const std::byte> table, uint64_t table_offset);
  absl::Status CheckLayout(uint64_t table_offset) const;
  absl::StatusOr<const Section*> FindSection(absl::string_view name) const;
  // Reads and checks pages from `first_page` on until `out` is full, which ends with one of them.
  absl::Status ReadPages(const Section& section, uint64_t first_page,
                         absl::Span<std::byte> out) const;
  absl::Status Damaged(absl::string_view part, absl::string_view what) const;

  const std::unique_ptr<ReadableFile> file_;
  const std::string name_;
  FileHeader header_;
  std::vector<Section> sections_;
};

}  // namespace mrl::format
