#include "index/format/mapped_section.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status.h"

namespace mrl::format {

MappedSection::MappedSection(const SectionFileReader& file,
                             const SectionFileReader::Section& section)
    : file_(file),
      section_(section),
      checked_(std::make_unique<std::atomic<uint64_t>[]>(section.checksums.size() / 64 + 1)) {}

absl::StatusOr<std::unique_ptr<MappedSection>> MappedSection::Map(const SectionFileReader& file,
                                                                  absl::string_view section,
                                                                  uint64_t bytes) {
  MRL_RETURN_IF_ERROR(file.ExpectSize(section, bytes));
  MRL_ASSIGN_OR_RETURN(const SectionFileReader::Section* found, file.FindSection(section));
  std::unique_ptr<MappedSection> mapped(new MappedSection(file, *found));
  MRL_ASSIGN_OR_RETURN(mapped->bytes_, file.file_->Map(found->offset, bytes));
  return mapped;
}

absl::Status MappedSection::Fetch(absl::Span<const Range> ranges) const {
  MRL_RETURN_IF_ERROR(CheckRead());
  std::vector<uint64_t> unchecked;
  for (const Range& range : ranges) {
    if (range.begin == range.end) continue;
    const uint64_t last = (range.end - 1) / section_.page_bytes;
    bool checked = true;
    for (uint64_t page = range.begin / section_.page_bytes; page <= last; ++page) {
      if (IsChecked(page)) continue;
      checked = false;
      unchecked.push_back(page);
    }
    if (checked) file_.file_->WillNeed(section_.offset + range.begin, range.end - range.begin);
  }
  if (unchecked.empty()) return absl::OkStatus();
  std::sort(unchecked.begin(), unchecked.end());
  unchecked.erase(std::unique(unchecked.begin(), unchecked.end()), unchecked.end());
  const auto size_of = [this](uint64_t page) {
    return std::min<uint64_t>(section_.page_bytes, section_.bytes - page * section_.page_bytes);
  };
  for (const uint64_t page : unchecked) {
    file_.file_->WillNeed(section_.offset + page * section_.page_bytes, size_of(page));
  }
  std::vector<std::byte> buffer;
  for (const uint64_t page : unchecked) {
    buffer.resize(size_of(page));
    MRL_RETURN_IF_ERROR(file_.ReadPages(section_, page, absl::MakeSpan(buffer)));
    checked_[page / 64].fetch_or(uint64_t{1} << (page % 64), std::memory_order_release);
  }
  return absl::OkStatus();
}

absl::Status MappedSection::CheckRead() const {
  if (bytes_->intact()) return absl::OkStatus();
  return file_.Damaged(section_.name,
                       "a page could not be read, or the file was cut short after it was opened");
}

}  // namespace mrl::format
