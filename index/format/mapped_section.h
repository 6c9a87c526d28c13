// A section of a file as memory that is read when it is touched, its pages checked before that.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/mapped_bytes.h"
#include "index/format/section_file.h"

namespace mrl::format {

// Thread-safe. Who reads from data() calls Fetch before and CheckRead after. A page is checked
// once: what goes bad on the disk after that is found by whoever verifies the file.
class MappedSection {
 public:
  struct Range {
    uint64_t begin = 0;
    uint64_t end = 0;
  };
  // DATA_LOSS unless the section is there with exactly `bytes`. Outlived by `file`.
  static absl::StatusOr<std::unique_ptr<MappedSection>> Map(const SectionFileReader& file,
                                                            absl::string_view section,
                                                            uint64_t bytes);

  const std::byte* data() const { return bytes_->data(); }
  // Begins to read all of `ranges` at once, and checks those of their pages that were not checked
  // before. DATA_LOSS names file, section and page.
  absl::Status Fetch(absl::Span<const Range> ranges) const;
  // DATA_LOSS when something could not be read: zeros may have been read in its place.
  absl::Status CheckRead() const;

 private:
  MappedSection(const SectionFileReader& file, const SectionFileReader::Section& section);
  bool IsChecked(uint64_t page) const {
    return ((checked_[page / 64].load(std::memory_order_acquire) >> (page % 64)) & 1) != 0;
  }

  const SectionFileReader& file_;
  const SectionFileReader::Section& section_;
  std::unique_ptr<MappedBytes> bytes_;
  // A bit a page. Two that check one page at a time do no harm.
  const std::unique_ptr<std::atomic<uint64_t>[]> checked_;
};

}  // namespace mrl::format
