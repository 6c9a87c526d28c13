#include "tests/unit/coarse/built_index.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace mrl::test {

SampleOptions Signs(uint32_t rows) { return {.rows = rows, .codes = {{8, 8}, {48, 1}}}; }

SampleOptions TiedRows() {
  return {.rows = 600, .codes = {{48, 1}}, .edit = [](std::vector<float>& vectors) {
            for (size_t row = 10; row < 600; ++row) {
              std::copy_n(vectors.begin() + static_cast<ptrdiff_t>(row % 10 * 48), 48,
                          vectors.begin() + static_cast<ptrdiff_t>(row * 48));
            }
          }};
}

std::string BuiltIndex::PathOf(const Sample& sample, int number) {
  return sample.PathOf(absl::StrCat("built-", number, ".idx"));
}

std::shared_ptr<const coarse::CoarseIndex> BuiltIndex::Build(Sample& sample,
                                                             const coarse::IndexSpec& spec,
                                                             uint32_t threads) {
  FileSystem& files = FileSystem::Posix();
  const std::string path = PathOf(sample, number_++);
  const absl::Status built =
      coarse::BuildIndex(files, path, *sample.segment, coarse::WithDefaults(spec, sample.schema),
                         {.threads = threads});
  EXPECT_TRUE(built.ok()) << built;
  auto opened = coarse::OpenIndex(files, path, spec.kind, sample.segment, sample.account);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.ok() ? *std::move(opened) : nullptr;
}

std::string BuiltIndex::Refusal(const coarse::CoarseIndex& index, const coarse::Request& request) {
  const auto result = index.Search(request);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(result.status().message());
}

int BuiltIndex::RefusalsOfChangedBytes(Sample& sample, const std::string& path,
                                       const std::string& kind) {
  FileSystem& files = FileSystem::Posix();
  const auto bytes = ReadFile(files, path, kIndexFileMax);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  int refused = 0;
  for (size_t at = 0; bytes.ok() && at < bytes->size(); at += 4096) {
    std::string damaged = *bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    const std::string other = sample.PathOf(absl::StrCat("damaged-", at));
    auto file = files.Create(other);
    EXPECT_TRUE(
        file.ok() &&
        (*file)
            ->WriteAt(0, {reinterpret_cast<const std::byte*>(damaged.data()), damaged.size()})
            .ok() &&
        (*file)->Close().ok());
    const auto opened = coarse::OpenIndex(files, other, kind, sample.segment, sample.account);
    if (opened.ok()) continue;
    ++refused;
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss) << opened.status();
  }
  return refused;
}

void ExpectSameRows(const std::vector<coarse::Candidate>& found,
                    const std::vector<coarse::Candidate>& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].row, wanted[i].row) << i;
    ASSERT_NEAR(found[i].score, wanted[i].score, 1e-6) << i;
  }
}

size_t CountFound(const std::vector<coarse::Candidate>& found,
                  const std::vector<coarse::Candidate>& wanted) {
  return static_cast<size_t>(
      std::count_if(wanted.begin(), wanted.end(), [&](const coarse::Candidate& one) {
        return std::any_of(found.begin(), found.end(),
                           [&](const coarse::Candidate& other) { return other.row == one.row; });
      }));
}

std::vector<uint64_t> EveryThird(uint32_t rows) {
  std::vector<uint64_t> allowed((rows + 63) / 64);
  for (uint32_t row = 0; row < rows; row += 3) allowed[row / 64] |= uint64_t{1} << (row % 64);
  return allowed;
}

}  // namespace mrl::test
