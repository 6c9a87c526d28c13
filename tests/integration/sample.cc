#include "tests/integration/sample.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "base/file.h"
#include "index/collection/collection.h"

namespace mrl {

Folder::Folder() {
  std::string pattern = testing::TempDir() + "mrl.XXXXXX";
  path_ = mkdtemp(pattern.data());
}

Folder::~Folder() { FileSystem::Posix().RemoveTree(path_).IgnoreError(); }

std::vector<float> SampleVector(uint32_t seed, uint32_t row) {
  std::mt19937 random(seed * 100'003 + row);
  std::vector<float> vector(kSampleDim);
  // 24 bits of each draw, so that the numbers are the same with every standard library.
  for (float& value : vector) value = static_cast<float>(random() >> 8) / (1 << 23) - 1.0f;
  return vector;
}

void BuildSample(const std::string& path, uint32_t seed, uint32_t rows) {
  Schema schema;
  schema.dim = kSampleDim;
  schema.ladder = {16, 32, 64};
  schema.codes = {{16, 8}, {32, 8}};
  collection::BuildOptions options;
  options.replace = true;
  auto builder = collection::CollectionBuilder::Create(FileSystem::Posix(), path, schema, options);
  ASSERT_TRUE(builder.ok()) << builder.status();
  collection::Chunk chunk;
  for (uint32_t row = 0; row < rows; ++row) {
    const std::vector<float> vector = SampleVector(seed, row);
    chunk.vectors.insert(chunk.vectors.end(), vector.begin(), vector.end());
    chunk.ids.push_back(PointId("p" + std::to_string(row)));
    chunk.payloads.push_back("{\"text\":\"point " + std::to_string(row) + "\"}");
  }
  const absl::Status appended = (*builder)->Append(std::move(chunk));
  ASSERT_TRUE(appended.ok()) << appended;
  const auto report = (*builder)->Finish();
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->rows, rows);
}

void Damage(const std::string& path) {
  std::filesystem::path largest;
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.path().extension() != ".seg" || entry.file_size() <= bytes) continue;
    largest = entry.path();
    bytes = entry.file_size();
  }
  ASSERT_GT(bytes, 0u) << "no segment below " << path;
  std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
  // Past magic and version, inside the header, which is always read when a segment is opened.
  file.seekg(20);
  const char old = static_cast<char>(file.get());
  file.seekp(20);
  file.put(static_cast<char>(old ^ 0x40));
}

}  // namespace mrl
