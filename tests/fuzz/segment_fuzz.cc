// Any bytes as a section file. Checksums would stop a fuzzer at the door, so they are put right
// first: what is tested is that sizes and places are cross-checked, not that XXH3 works.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "base/checksum.h"
#include "index/format/section_file.h"
#include "index/format/wire.h"
#include "tests/fuzz/memory_file.h"

namespace {

using mrl::format::GetLittleEndian;
using mrl::format::PutLittleEndian;
using H = mrl::format::HeaderLayout;

void MendChecksums(std::string& bytes) {
  auto* data = reinterpret_cast<std::byte*>(bytes.data());
  std::memcpy(data, H::kMagic, sizeof(H::kMagic));
  PutLittleEndian<uint32_t>(H::kVersion, data + H::kVersionAt);
  PutLittleEndian<uint64_t>(bytes.size(), data + H::kFileBytesAt);
  const uint64_t offset = GetLittleEndian<uint16_t>(data + H::kTableOffsetAt) % bytes.size();
  PutLittleEndian<uint64_t>(offset, data + H::kTableOffsetAt);
  PutLittleEndian<uint64_t>(bytes.size() - offset, data + H::kTableBytesAt);
  PutLittleEndian<uint64_t>(mrl::Checksum(data + offset, bytes.size() - offset),
                            data + H::kTableChecksumAt);
  PutLittleEndian<uint64_t>(mrl::Checksum(data, H::kChecksumAt), data + H::kChecksumAt);
}

void Open(std::string bytes) {
  const auto file = mrl::format::SectionFileReader::Open(
      std::make_unique<mrl::MemoryFile>(std::move(bytes)), "fuzz", mrl::format::FileKind::kSegment);
  if (!file.ok()) return;
  (*file)->VerifyAll({}).IgnoreError();
  std::byte out[16];
  (*file)->Read("payloads", 0, absl::MakeSpan(out)).IgnoreError();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  Open(bytes);
  if (size < H::kBytes + 8) return 0;
  PutLittleEndian<uint32_t>(1, reinterpret_cast<std::byte*>(bytes.data()) + H::kKindAt);
  MendChecksums(bytes);
  Open(std::move(bytes));
  return 0;
}
