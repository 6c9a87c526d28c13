#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/checksum.h"
#include "base/status.h"
#include "index/format/section_file.h"
#include "index/format/wire.h"

namespace mrl::format {
namespace {

absl::string_view KindName(uint32_t kind) {
  switch (static_cast<FileKind>(kind)) {
    case FileKind::kSegment:
      return "segment";
    case FileKind::kScan:
      return "scan codes";
    case FileKind::kFaiss:
      return "FAISS index";
    case FileKind::kIvfScan:
      return "lists of codes";
    case FileKind::kFilter:
      return "filter index";
    case FileKind::kGraph:
      return "graph of rows";
  }
  return "unknown";
}

std::string GetUuid(const std::byte* bytes) {
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(bytes), 16));
}

// What is read at a time of a section: whole pages, small ones by many, since a call for each would
// take longer than to check it.
uint64_t RunBytes(uint64_t page_bytes) {
  return std::max<uint64_t>(1, kPageBytes / page_bytes) * page_bytes;
}

}  // namespace

SectionFileReader::SectionFileReader(std::unique_ptr<ReadableFile> file, std::string name)
    : file_(std::move(file)), name_(std::move(name)) {}
SectionFileReader::~SectionFileReader() = default;

absl::Status SectionFileReader::Damaged(absl::string_view part, absl::string_view what) const {
  return absl::DataLossError(absl::StrCat(name_, ": ", part, ": ", what));
}

absl::StatusOr<std::unique_ptr<SectionFileReader>> SectionFileReader::Open(FileSystem& files,
                                                                           const std::string& path,
                                                                           FileKind kind) {
  absl::StatusOr<std::unique_ptr<ReadableFile>> file = files.Open(path);
  if (absl::IsNotFound(file.status())) {
    return absl::DataLossError(absl::StrCat(path, ": the file is missing"));
  }
  MRL_RETURN_IF_ERROR(file.status());
  return Open(*std::move(file), path, kind);
}

absl::StatusOr<std::unique_ptr<SectionFileReader>> SectionFileReader::Open(
    std::unique_ptr<ReadableFile> file, const std::string& name, FileKind kind) {
  std::unique_ptr<SectionFileReader> reader(new SectionFileReader(std::move(file), name));
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  MRL_RETURN_IF_ERROR(reader->ReadHeader(kind, &offset, &bytes, &checksum));
  MRL_RETURN_IF_ERROR(reader->ReadTable(offset, bytes, checksum));
  return reader;
}

absl::Status SectionFileReader::ReadHeader(FileKind kind, uint64_t* table_offset,
                                           uint64_t* table_bytes, uint64_t* table_checksum) {
  using H = HeaderLayout;
  std::vector<std::byte> bytes(H::kBytes);
  if (file_->size() < H::kBytes) {
    return Damaged("header", absl::StrCat("the file has ", file_->size(),
                                          " bytes; the header alone has ", H::kBytes));
  }
  MRL_RETURN_IF_ERROR(file_->ReadAt(0, absl::MakeSpan(bytes)));
  if (std::memcmp(bytes.data(), H::kMagic, sizeof(H::kMagic)) != 0) {
    return Damaged("header", "this is not a file of mrl");
  }
  // Before the version, so that damage to its bytes is not taken for a newer format.
  if (GetLittleEndian<uint64_t>(&bytes[H::kChecksumAt]) != Checksum(bytes.data(), H::kChecksumAt)) {
    return Damaged("header", "the checksum does not match");
  }
  const auto version = GetLittleEndian<uint32_t>(&bytes[H::kVersionAt]);
  if (version > H::kVersion) {
    return absl::FailedPreconditionError(absl::StrCat(name_, " has format version ", version,
                                                      "; this program reads up to ", H::kVersion,
                                                      ": use a newer one"));
  }
  const auto found = GetLittleEndian<uint32_t>(&bytes[H::kKindAt]);
  if (version == 0 || found != static_cast<uint32_t>(kind)) {
    return Damaged("header",
                   absl::StrCat("this is a ", KindName(found), " file; a ",
                                KindName(static_cast<uint32_t>(kind)), " file was expected"));
  }
  header_ = {.kind = kind,
             .uuid = GetUuid(&bytes[H::kUuidAt]),
             .bound_uuid = GetUuid(&bytes[H::kBoundAt]),
             .schema_hash = GetLittleEndian<uint64_t>(&bytes[H::kSchemaHashAt])};
  *table_offset = GetLittleEndian<uint64_t>(&bytes[H::kTableOffsetAt]);
  *table_bytes = GetLittleEndian<uint64_t>(&bytes[H::kTableBytesAt]);
  *table_checksum = GetLittleEndian<uint64_t>(&bytes[H::kTableChecksumAt]);
  const auto file_bytes = GetLittleEndian<uint64_t>(&bytes[H::kFileBytesAt]);
  if (file_bytes != file_->size()) {
    return Damaged("header", absl::StrCat("the file has ", file_->size(), " bytes; ", file_bytes,
                                          " are promised"));
  }
  return absl::OkStatus();
}

absl::Status SectionFileReader::ReadTable(uint64_t offset, uint64_t bytes, uint64_t checksum) {
  // No table is larger than the entries, and a checksum for each page that fits before it.
  const uint64_t bytes_max =
      8 + kSectionsMax * (EntryLayout::kBytes + 8) + offset / kPageBytesMin * 8;
  if (offset > file_->size() || bytes != file_->size() - offset || bytes < 8 || bytes > bytes_max) {
    return Damaged("section table", "its place does not fit the file");
  }
  std::vector<std::byte> table(bytes);
  MRL_RETURN_IF_ERROR(file_->ReadAt(offset, absl::MakeSpan(table)));
  if (Checksum(table.data(), table.size()) != checksum) {
    return Damaged("section table", "the checksum does not match");
  }
  return ParseTable(table, offset);
}

absl::Status SectionFileReader::ParseTable(absl::Span<const std::byte> table,
                                           uint64_t table_offset) {
  const auto count = GetLittleEndian<uint64_t>(table.data());
  table.remove_prefix(8);
  if (count > kSectionsMax || table.size() < count * EntryLayout::kBytes) {
    return Damaged("section table", absl::StrCat("it has ", count, " sections"));
  }
  absl::Span<const std::byte> checksums = table.subspan(count * EntryLayout::kBytes);
  for (uint64_t i = 0; i < count; ++i) {
    const std::byte* entry = table.data() + i * EntryLayout::kBytes;
    const char* name = reinterpret_cast<const char*>(entry);
    Section section;
    section.name.assign(name, strnlen(name, SectionSpec::kNameMax + 1));
    section.offset = GetLittleEndian<uint64_t>(entry + EntryLayout::kOffsetAt);
    section.bytes = GetLittleEndian<uint64_t>(entry + EntryLayout::kSizeAt);
    const auto page_bytes = GetLittleEndian<uint64_t>(entry + EntryLayout::kPageBytesAt);
    if (page_bytes < kPageBytesMin || page_bytes > kPageBytesMax) {
      return Damaged("section table", absl::StrCat("a page of ", page_bytes, " bytes"));
    }
    section.page_bytes = static_cast<uint32_t>(page_bytes);
    const uint64_t pages = PageCount(section.bytes, page_bytes);
    if (pages > checksums.size() / 8) return Damaged("section table", "checksums are missing");
    section.checksums.resize(pages);
    for (uint64_t page = 0; page < pages; ++page) {
      section.checksums[page] = GetLittleEndian<uint64_t>(checksums.data() + page * 8);
    }
    checksums.remove_prefix(pages * 8);
    sections_.push_back(std::move(section));
  }
  if (!checksums.empty()) return Damaged("section table", "bytes are left over");
  return CheckLayout(table_offset);
}

absl::Status SectionFileReader::CheckLayout(uint64_t table_offset) const {
  std::vector<const Section*> order;
  for (const Section& section : sections_) {
    const bool twice = std::any_of(order.begin(), order.end(), [&](const Section* other) {
      return other->name == section.name;
    });
    if (twice || section.name.empty() || section.name.size() > SectionSpec::kNameMax) {
      return Damaged("section table", "a name is empty, too long or there twice");
    }
    order.push_back(&section);
  }
  std::sort(order.begin(), order.end(), [](const Section* a, const Section* b) {
    // An empty one may lie where another begins.
    return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes;
  });
  uint64_t free = HeaderLayout::kBytes;
  for (const Section* section : order) {
    if (section->offset < free || section->offset > table_offset ||
        section->bytes > table_offset - section->offset) {
      return Damaged(section->name, "its place overlaps another or leaves the file");
    }
    free = section->offset + section->bytes;
  }
  return absl::OkStatus();
}

bool SectionFileReader::Has(absl::string_view section) const { return FindSection(section).ok(); }

uint64_t SectionFileReader::size(absl::string_view section) const {
  const auto found = FindSection(section);
  return found.ok() ? (*found)->bytes : 0;
}

absl::StatusOr<const SectionFileReader::Section*> SectionFileReader::FindSection(
    absl::string_view name) const {
  for (const Section& section : sections_) {
    if (section.name == name) return &section;
  }
  return Damaged(name, "the section is missing");
}

absl::Status SectionFileReader::ExpectSize(absl::string_view name, uint64_t bytes) const {
  MRL_ASSIGN_OR_RETURN(const Section* section, FindSection(name));
  if (section->bytes == bytes) return absl::OkStatus();
  return Damaged(
      name, absl::StrCat("the section has ", section->bytes, " bytes; ", bytes, " are needed"));
}

absl::Status SectionFileReader::ReadPages(const Section& section, uint64_t first_page,
                                          absl::Span<std::byte> out) const {
  const absl::Status read = file_->ReadAt(section.offset + first_page * section.page_bytes, out);
  if (absl::IsOutOfRange(read)) {
    return Damaged(section.name, "the file was cut short after it was opened");
  }
  MRL_RETURN_IF_ERROR(read);
  for (uint64_t page = first_page; !out.empty(); ++page) {
    const size_t bytes = std::min<size_t>(section.page_bytes, out.size());
    if (Checksum(out.data(), bytes) != section.checksums[page]) {
      return Damaged(section.name, absl::StrCat("page ", page, " at byte ",
                                                section.offset + page * section.page_bytes,
                                                ": the checksum does not match"));
    }
    out.remove_prefix(bytes);
  }
  return absl::OkStatus();
}

absl::Status SectionFileReader::Load(absl::string_view name, absl::Span<std::byte> out) const {
  MRL_ASSIGN_OR_RETURN(const Section* section, FindSection(name));
  MRL_RETURN_IF_ERROR(ExpectSize(name, out.size()));
  const uint64_t run = RunBytes(section->page_bytes);
  for (uint64_t begin = 0; begin < section->bytes; begin += run) {
    const uint64_t bytes = std::min<uint64_t>(run, section->bytes - begin);
    MRL_RETURN_IF_ERROR(
        ReadPages(*section, begin / section->page_bytes, out.subspan(begin, bytes)));
  }
  return absl::OkStatus();
}

absl::Status SectionFileReader::Read(absl::string_view name, uint64_t offset,
                                     absl::Span<std::byte> out) const {
  MRL_ASSIGN_OR_RETURN(const Section* section, FindSection(name));
  if (offset > section->bytes || out.size() > section->bytes - offset) {
    return Damaged(
        name, absl::StrCat(out.size(), " bytes at ", offset, " are not in its ", section->bytes));
  }
  std::vector<std::byte> page;
  while (!out.empty()) {
    const uint64_t number = offset / section->page_bytes;
    const uint64_t begin = number * section->page_bytes;
    page.resize(std::min<uint64_t>(section->page_bytes, section->bytes - begin));
    MRL_RETURN_IF_ERROR(ReadPages(*section, number, absl::MakeSpan(page)));
    const size_t take = std::min<size_t>(out.size(), page.size() - (offset - begin));
    std::memcpy(out.data(), page.data() + (offset - begin), take);
    offset += take;
    out.remove_prefix(take);
  }
  return absl::OkStatus();
}

absl::Status SectionFileReader::VerifyAll(
    const std::function<void(absl::string_view, uint64_t)>& progress) const {
  std::vector<std::byte> buffer;
  for (const Section& section : sections_) {
    const uint64_t run = RunBytes(section.page_bytes);
    for (uint64_t begin = 0; begin < section.bytes; begin += run) {
      buffer.resize(std::min<uint64_t>(run, section.bytes - begin));
      MRL_RETURN_IF_ERROR(ReadPages(section, begin / section.page_bytes, absl::MakeSpan(buffer)));
      if (progress) progress(section.name, buffer.size());
    }
  }
  return absl::OkStatus();
}

}  // namespace mrl::format
