#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/planted.h"
#include "base/status.h"
#include "index/format/section_file.h"
#include "index/format/wire.h"

namespace mrl::format {
namespace {

std::string TemporaryPath(const std::string& path) {
  const std::string parent = ParentPath(path);
  const size_t slash = path.rfind('/');
  return JoinPath(
      parent, absl::StrCat(".tmp-", slash == std::string::npos ? path : path.substr(slash + 1)));
}

uint64_t RoundUp(uint64_t bytes) {
  return (bytes + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

void PutUuid(const std::string& uuid, std::byte* out) {
  const std::string bytes = absl::HexStringToBytes(uuid);
  CHECK(bytes.size() == 16);
  std::memcpy(out, bytes.data(), bytes.size());
}

}  // namespace

std::string NewUuid() {
  std::random_device device;
  std::string bytes(16, '\0');
  for (char& byte : bytes) byte = static_cast<char>(device());
  return absl::BytesToHexString(bytes);
}

struct SectionFileWriter::Section {
  SectionSpec spec;
  uint64_t offset = 0;          // 0 = not placed yet (unbounded, and nothing appended)
  uint64_t bytes = 0;           // appended
  std::vector<std::byte> page;  // of which this is the unwritten end
  std::vector<uint64_t> checksums;
};

SectionFileWriter::SectionFileWriter(FileSystem& files, std::string path)
    : files_(files), path_(std::move(path)), temporary_path_(TemporaryPath(path_)) {}

SectionFileWriter::~SectionFileWriter() {
  if (file_ == nullptr) return;
  file_.reset();
  files_.Remove(temporary_path_).IgnoreError();  // a left-over is unnamed, hence harmless
}

absl::StatusOr<std::unique_ptr<SectionFileWriter>> SectionFileWriter::Create(
    FileSystem& files, const std::string& path, const std::vector<SectionSpec>& sections) {
  std::unique_ptr<SectionFileWriter> writer(new SectionFileWriter(files, path));
  uint64_t offset = kSectionAlignment;
  bool bounded = true;
  for (const SectionSpec& spec : sections) {
    CHECK(spec.name.size() <= SectionSpec::kNameMax && !spec.name.empty());
    CHECK(bounded || spec.bytes_max == kUnbounded);
    bounded = spec.bytes_max != kUnbounded;
    writer->sections_.push_back(
        {.spec = spec, .offset = bounded ? offset : 0, .page = {}, .checksums = {}});
    if (bounded) offset += RoundUp(spec.bytes_max);
  }
  writer->bounded_end_ = offset;
  MRL_ASSIGN_OR_RETURN(writer->file_, files.Create(writer->temporary_path_));
  return writer;
}

uint64_t SectionFileWriter::size(size_t section) const { return sections_[section].bytes; }

// An unbounded section begins where the one before it ends, which from now on may not grow.
absl::Status SectionFileWriter::Place(size_t index) {
  Section& section = sections_[index];
  if (section.offset != 0) return absl::OkStatus();
  section.offset = bounded_end_;
  if (index > 0 && sections_[index - 1].spec.bytes_max == kUnbounded) {
    MRL_RETURN_IF_ERROR(Place(index - 1));
    Section& before = sections_[index - 1];
    MRL_RETURN_IF_ERROR(FlushPage(before));
    before.spec.bytes_max = before.bytes;
    section.offset = before.offset + RoundUp(before.bytes);
  }
  return absl::OkStatus();
}

absl::Status SectionFileWriter::Append(size_t index, absl::Span<const std::byte> data) {
  MRL_RETURN_IF_ERROR(Place(index));
  Section& section = sections_[index];
  if (data.size() > section.spec.bytes_max - section.bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(path_, ": section ", section.spec.name,
                                                     " outgrows its ", section.spec.bytes_max,
                                                     " bytes"));
  }
  section.bytes += data.size();
  const size_t page_bytes = section.spec.page_bytes;
  while (!data.empty()) {
    if (section.page.empty() && data.size() >= page_bytes) {  // needs no copy
      const size_t whole = data.size() / page_bytes * page_bytes;
      MRL_RETURN_IF_ERROR(WritePages(section, data.first(whole)));
      data.remove_prefix(whole);
      continue;
    }
    const size_t take = std::min(data.size(), page_bytes - section.page.size());
    section.page.insert(section.page.end(), data.begin(), data.begin() + take);
    data.remove_prefix(take);
    if (section.page.size() == page_bytes) MRL_RETURN_IF_ERROR(FlushPage(section));
  }
  return absl::OkStatus();
}

absl::Status SectionFileWriter::Append(const Pieces& pieces) {
  for (const Piece& piece : pieces) MRL_RETURN_IF_ERROR(Append(piece.section, piece.bytes));
  return absl::OkStatus();
}

absl::Status SectionFileWriter::FlushPage(Section& section) {
  if (section.page.empty()) return absl::OkStatus();
  MRL_RETURN_IF_ERROR(WritePages(section, section.page));
  section.page.clear();
  return absl::OkStatus();
}

absl::Status SectionFileWriter::WritePages(Section& section, absl::Span<const std::byte> data) {
  const size_t page_bytes = section.spec.page_bytes;
  const uint64_t at = section.offset + section.checksums.size() * page_bytes;
  MRL_RETURN_IF_ERROR(file_->WriteAt(at, data));
  for (; !data.empty(); data.remove_prefix(std::min(page_bytes, data.size()))) {
    const absl::Span<const std::byte> page = data.first(std::min(page_bytes, data.size()));
    section.checksums.push_back(Checksum(page.data(), page.size()));
  }
  return absl::OkStatus();
}

std::vector<std::byte> SectionFileWriter::Table() const {
  std::vector<std::byte> table(8 + sections_.size() * EntryLayout::kBytes);
  PutLittleEndian<uint64_t>(sections_.size(), table.data());
  std::byte* entry = table.data() + 8;
  for (const Section& section : sections_) {
    std::memcpy(entry, section.spec.name.data(), section.spec.name.size());
    PutLittleEndian<uint64_t>(section.offset, entry + EntryLayout::kOffsetAt);
    PutLittleEndian<uint64_t>(section.bytes, entry + EntryLayout::kSizeAt);
    PutLittleEndian<uint64_t>(section.spec.page_bytes, entry + EntryLayout::kPageBytesAt);
    entry += EntryLayout::kBytes;
  }
  for (const Section& section : sections_) {
    for (const uint64_t checksum : section.checksums) {
      table.resize(table.size() + 8);
      PutLittleEndian<uint64_t>(checksum, table.data() + table.size() - 8);
    }
  }
  return table;
}

absl::StatusOr<uint64_t> SectionFileWriter::Finish(const FileHeader& header) {
  uint64_t end = kSectionAlignment;
  for (size_t i = 0; i < sections_.size(); ++i) {
    Section& section = sections_[i];
    MRL_RETURN_IF_ERROR(Place(i));
    MRL_RETURN_IF_ERROR(FlushPage(section));
    end = std::max(end, section.offset + section.bytes);
  }
  const std::vector<std::byte> table = Table();
  std::vector<std::byte> bytes(HeaderLayout::kBytes);
  std::memcpy(bytes.data(), HeaderLayout::kMagic, sizeof(HeaderLayout::kMagic));
  PutLittleEndian<uint32_t>(HeaderLayout::kVersion, &bytes[HeaderLayout::kVersionAt]);
  PutLittleEndian<uint32_t>(static_cast<uint32_t>(header.kind), &bytes[HeaderLayout::kKindAt]);
  PutUuid(header.uuid, &bytes[HeaderLayout::kUuidAt]);
  PutUuid(header.bound_uuid, &bytes[HeaderLayout::kBoundAt]);
  PutLittleEndian<uint64_t>(header.schema_hash, &bytes[HeaderLayout::kSchemaHashAt]);
  PutLittleEndian<uint64_t>(end, &bytes[HeaderLayout::kTableOffsetAt]);
  PutLittleEndian<uint64_t>(table.size(), &bytes[HeaderLayout::kTableBytesAt]);
  PutLittleEndian<uint64_t>(Checksum(table.data(), table.size()),
                            &bytes[HeaderLayout::kTableChecksumAt]);
  PutLittleEndian<uint64_t>(end + table.size(), &bytes[HeaderLayout::kFileBytesAt]);
  PutLittleEndian<uint64_t>(Checksum(bytes.data(), HeaderLayout::kChecksumAt),
                            &bytes[HeaderLayout::kChecksumAt]);
  MRL_RETURN_IF_ERROR(file_->WriteAt(end, table));
  MRL_RETURN_IF_ERROR(file_->WriteAt(0, bytes));
  if (!Planted(Bug::kRenameBeforeSync)) MRL_RETURN_IF_ERROR(file_->Sync());
  MRL_RETURN_IF_ERROR(file_->Close());
  MRL_RETURN_IF_ERROR(files_.Rename(temporary_path_, path_));
  file_.reset();
  const absl::Status synced = files_.SyncDirectory(ParentPath(path_));
  if (synced.ok()) return end + table.size();
  files_.Remove(path_).IgnoreError();  // nobody has been told of it
  return synced;
}

}  // namespace mrl::format
