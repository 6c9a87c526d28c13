// Little-endian numbers in byte arrays.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mrl::format {

template <typename T>
void PutLittleEndian(T value, std::byte* out) {
  for (size_t i = 0; i < sizeof(T); ++i) out[i] = static_cast<std::byte>(value >> (8 * i));
}

template <typename T>
T GetLittleEndian(const std::byte* in) {
  T value = 0;
  for (size_t i = sizeof(T); i-- > 0;) value = static_cast<T>(value << 8 | static_cast<T>(in[i]));
  return value;
}

// The fixed header of a section file. Offsets in bytes; numbers little-endian. Magic, version and
// checksum keep their place in every version: that is how an older program knows a newer file.
struct HeaderLayout {
  static constexpr char kMagic[8] = {'M', 'R', 'L', 'F', 'I', 'L', 'E', '\n'};
  static constexpr uint32_t kVersion = 1;
  static constexpr size_t kVersionAt = 8;         // u32
  static constexpr size_t kKindAt = 12;           // u32
  static constexpr size_t kUuidAt = 16;           // 16 bytes
  static constexpr size_t kBoundAt = 32;          // 16 bytes
  static constexpr size_t kSchemaHashAt = 48;     // u64
  static constexpr size_t kTableOffsetAt = 56;    // u64
  static constexpr size_t kTableBytesAt = 64;     // u64
  static constexpr size_t kTableChecksumAt = 72;  // u64
  static constexpr size_t kFileBytesAt = 80;      // u64; then zeros
  static constexpr size_t kChecksumAt = 120;      // u64, of the 120 bytes before it
  static constexpr size_t kBytes = 128;
};

// The table: u64 number of sections, an entry each, then the page checksums (u64) of all sections
// in order of the entries.
struct EntryLayout {
  static constexpr size_t kNameAt = 0;        // 24 bytes, zero-padded
  static constexpr size_t kOffsetAt = 24;     // u64
  static constexpr size_t kSizeAt = 32;       // u64
  static constexpr size_t kPageBytesAt = 40;  // u64
  static constexpr size_t kBytes = 48;
};

inline constexpr uint64_t kSectionAlignment = 4096;
inline constexpr uint64_t kSectionsMax = 1024;
inline constexpr uint32_t kPageBytesMin = 4096;
inline constexpr uint32_t kPageBytesMax = 1 << 24;

inline uint64_t PageCount(uint64_t bytes, uint64_t page_bytes) {
  return bytes / page_bytes + (bytes % page_bytes != 0 ? 1 : 0);
}

}  // namespace mrl::format
