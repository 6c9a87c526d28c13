#include "base/buffer.h"

#include <cstdint>
#include <utility>

#include "gtest/gtest.h"

namespace mrl {
namespace {

TEST(Buffer, IsZeroedAlignedAndReadablePastItsEnd) {
  for (const size_t bytes : {size_t{1}, size_t{4096}, size_t{5} << 20}) {
    const Buffer buffer = *Buffer::Allocate(bytes);
    ASSERT_EQ(buffer.size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0U);
    for (size_t i = 0; i < bytes + Buffer::kReadSlack; i += 61) {
      ASSERT_EQ(buffer.As<uint8_t>()[i], 0) << i;
    }
  }
}

TEST(Buffer, MovesItsMemory) {
  Buffer first = *Buffer::Allocate(100);
  first.As<uint8_t>()[7] = 42;
  const Buffer second = std::move(first);
  EXPECT_EQ(second.As<uint8_t>()[7], 42);
}

TEST(Buffer, MayBeEmpty) { EXPECT_EQ(Buffer::Allocate(0)->size(), 0U); }

TEST(Buffer, RefusesAnImpossibleSizeByNamingIt) {
  const auto buffer = Buffer::Allocate(SIZE_MAX - 100);
  EXPECT_EQ(buffer.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(buffer.status().message(), "cannot allocate 18446744073709551515 bytes of memory");
}

}  // namespace
}  // namespace mrl
