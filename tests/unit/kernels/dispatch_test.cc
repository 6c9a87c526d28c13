#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string>

#include "index/kernels/kernels.h"

namespace mrl::kernels {
namespace {

constexpr InstructionSet kSets[] = {InstructionSet::kScalar, InstructionSet::kNeon,
                                    InstructionSet::kAvx2, InstructionSet::kAvx512,
                                    InstructionSet::kAvx512Icl};

class Dispatch : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* value = std::getenv("MRL_CPU")) outer_ = value;
  }
  void TearDown() override {
    if (outer_.has_value()) {
      Ask(outer_->c_str());
    } else {
      unsetenv("MRL_CPU");
    }
  }

  static void Ask(const char* value) { setenv("MRL_CPU", value, 1); }
  static bool Choose() { return ChooseFromEnvironment(&set_, &supported_); }
  static std::string SupportedNames() {
    std::string names;
    for (const InstructionSet set : kSets) {
      if (Supported(set)) names += (names.empty() ? "" : ", ") + std::string(Name(set));
    }
    return names;
  }
  static InstructionSet BestSet() {
    InstructionSet best = InstructionSet::kScalar;
    for (const InstructionSet set : kSets) {
      if (Supported(set)) best = set;
    }
    return best;
  }

  static inline InstructionSet set_;
  static inline const char* supported_;

 private:
  std::optional<std::string> outer_;
};

TEST_F(Dispatch, TakesTheBestSetWhenNothingIsAsked) {
  unsetenv("MRL_CPU");
  ASSERT_TRUE(Choose());
  EXPECT_EQ(set_, BestSet());
  Ask("");
  ASSERT_TRUE(Choose());
  EXPECT_EQ(set_, BestSet());
}

TEST_F(Dispatch, TakesEverySupportedSetByItsName) {
  for (const InstructionSet wanted : kSets) {
    Ask(Name(wanted));
    ASSERT_EQ(Choose(), Supported(wanted)) << Name(wanted);
    if (Supported(wanted)) {
      EXPECT_EQ(set_, wanted);
    } else {
      EXPECT_EQ(supported_, SupportedNames());
    }
  }
}

TEST_F(Dispatch, RefusesUnknownNamesWithTheListOfSets) {
  for (const char* value : {"avx1024", "AVX2", "avx2 ", " ", "scalar,avx2", "native"}) {
    Ask(value);
    supported_ = nullptr;
    EXPECT_FALSE(Choose()) << value;
    ASSERT_NE(supported_, nullptr) << value;
    EXPECT_EQ(supported_, SupportedNames());
    EXPECT_THAT(supported_, testing::StartsWith("scalar"));
  }
}

TEST_F(Dispatch, KeepsTheTableOfItsFirstUse) {
  Ask("scalar");
  EXPECT_EQ(Active().set, InstructionSet::kScalar);
  Ask("avx1024");
  EXPECT_EQ(Active().set, InstructionSet::kScalar);
}

TEST_F(Dispatch, NamesTheTableOfEverySupportedSet) {
  for (const InstructionSet set : kSets) {
    if (!Supported(set)) continue;
    EXPECT_EQ(ForSet(set).set, set);
    EXPECT_STREQ(ForSet(set).name, Name(set));
  }
}

// Elsewhere a CPU that lacks a set skips its tests; QEMU, and all Arm CPUs that we test on, have
// this.
#if defined(__aarch64__)
TEST_F(Dispatch, HasNeonWhereArmIsTested) { EXPECT_TRUE(Supported(InstructionSet::kNeon)); }
#endif

TEST_F(Dispatch, SupportsTheSetsBelowASupportedOne) {
  EXPECT_TRUE(Supported(InstructionSet::kScalar));
  EXPECT_TRUE(Supported(InstructionSet::kAvx2) || !Supported(InstructionSet::kAvx512));
  EXPECT_TRUE(Supported(InstructionSet::kAvx512) || !Supported(InstructionSet::kAvx512Icl));
  EXPECT_FALSE(Supported(InstructionSet::kAvx2) && Supported(InstructionSet::kNeon));
}

}  // namespace
}  // namespace mrl::kernels
