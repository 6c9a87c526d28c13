// Any bytes as an npy, fvecs or fbin file: an error or rows, never a crash or a large allocation.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "index/io/embeddings.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const char* names[] = {"x.npy", "x.fvecs", "x.fbin"};
  // The first byte picks the format; npy most often, since it has a parser.
  const std::string name = names[data[0] < 200 ? 0 : data[0] % 3];
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] < 128) bytes.insert(0, std::string("\x93NUMPY\x01\x00", 8));
  const auto reader =
      mrl::io::OpenEmbeddings(std::make_unique<mrl::MemoryFile>(std::move(bytes)), name);
  if (!reader.ok()) return 0;
  const uint64_t rows = std::min<uint64_t>((*reader)->rows(), 4);
  std::vector<float> out(rows * (*reader)->dims());
  (*reader)->Read(0, absl::MakeSpan(out)).IgnoreError();
  return 0;
}
