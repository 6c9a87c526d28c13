#include "base/mapped_bytes.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl {
namespace {

constexpr size_t kBytes = 100'000;

class Mapped : public ::testing::Test {
 protected:
  Mapped() {
    for (size_t i = 0; i < kBytes; ++i) text_.push_back(static_cast<char>('a' + i * i % 26));
    EXPECT_TRUE(files_.RemoveTree(path_).ok());
    auto file = files_.Create(path_);
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(
        (*file)->WriteAt(0, {reinterpret_cast<const std::byte*>(text_.data()), kBytes}).ok());
    EXPECT_TRUE((*file)->Close().ok());
    file_ = *files_.Open(path_);
  }
  ~Mapped() override { EXPECT_TRUE(files_.Remove(path_).ok()); }

  std::unique_ptr<MappedBytes> Map(uint64_t offset, uint64_t bytes) {
    auto mapped = file_->Map(offset, bytes);
    EXPECT_TRUE(mapped.ok()) << mapped.status();
    return *std::move(mapped);
  }
  static std::string TextOf(const MappedBytes& mapped) {
    return {reinterpret_cast<const char*>(mapped.data()), mapped.size()};
  }

  FileSystem& files_ = FileSystem::Posix();
  const std::string path_ = JoinPath(::testing::TempDir(), "mapped_bytes_test");
  std::string text_;
  std::unique_ptr<ReadableFile> file_;
};

TEST_F(Mapped, AreTheBytesOfTheFile) {
  for (const size_t offset : {0, 1, 4095, 4096, 70'000}) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{5000}, kBytes - offset}) {
      if (offset + bytes > kBytes) continue;
      const auto mapped = Map(offset, bytes);
      EXPECT_EQ(TextOf(*mapped), text_.substr(offset, bytes)) << offset << " " << bytes;
      char slack[Buffer::kReadSlack];  // may be read, past the end of the file too
      std::memcpy(slack, mapped->data() + bytes, sizeof(slack));
      EXPECT_TRUE(mapped->intact());
    }
  }
}

TEST_F(Mapped, AreInTheFile) {
  const absl::Status refused = file_->Map(90'000, 20'000).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("map 20000 bytes at 90000"));
}

TEST_F(Mapped, AreZerosWhereAPageIsGone) {
  const auto gone = Map(0, kBytes);
  const auto other = Map(0, 4096);
  ASSERT_EQ(truncate(path_.c_str(), 4096), 0);
  EXPECT_EQ(TextOf(*other), text_.substr(0, 4096));
  EXPECT_EQ(static_cast<char>(gone->data()[50'000]), '\0');
  EXPECT_FALSE(gone->intact());
  EXPECT_EQ(TextOf(*gone), std::string(kBytes, '\0'));
}

TEST_F(Mapped, LeaveTheirMarkToNobody) {
  auto first = Map(0, kBytes);
  ASSERT_EQ(truncate(path_.c_str(), 0), 0);
  EXPECT_EQ(static_cast<char>(first->data()[0]), '\0');
  EXPECT_FALSE(first->intact());
  first = nullptr;
  ASSERT_EQ(truncate(path_.c_str(), kBytes), 0);
  EXPECT_TRUE(Map(0, kBytes)->intact());
}

TEST_F(Mapped, LetOtherBusErrorsPass) {
  const auto mapped = Map(0, kBytes);
  const auto touch = [this] {
    const int descriptor = memfd_create("empty", 0);
    const void* memory = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, descriptor, 0);
    char byte = 0;
    std::memcpy(&byte, memory, 1);
    _exit(byte);
  };
  EXPECT_DEATH(touch(), "");
}

// A file that is no file of the system's.
class InMemory final : public ReadableFile {
 public:
  uint64_t size() const override { return 8; }
  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override {
    if (offset + out.size() > 8) return absl::OutOfRangeError("8 bytes");
    std::memcpy(out.data(), &"01234567"[offset], out.size());
    return absl::OkStatus();
  }
};

TEST(MappedBytes, MayBeACopy) {
  const InMemory file;
  const auto mapped = file.Map(3, 4);
  ASSERT_TRUE(mapped.ok());
  EXPECT_EQ(std::memcmp((*mapped)->data(), "3456", 4), 0);
  EXPECT_EQ((*mapped)->size(), 4u);
  EXPECT_TRUE((*mapped)->intact());
  EXPECT_EQ(file.Map(3, 6).status().code(), absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace mrl
